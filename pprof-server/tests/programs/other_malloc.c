// Another `malloc`, as jemalloc or tcmalloc are put in the place of glibc's: it hands memory out and never takes it back.
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
static char *next; static size_t left;
static void *take(size_t align, size_t size) {
    static char lock;
    while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE)) {}
    if (!next) { left = 1UL << 36; next = mmap(0, left, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); }
    char *block = (char *)(((size_t)next + 16 + align - 1) / align * align);
    ((size_t *)block)[-1] = size;
    next = block + size;
    __atomic_clear(&lock, __ATOMIC_RELEASE);
    return block;
}
void *malloc(size_t size) { return take(16, size); }
void *calloc(size_t n, size_t size) { return take(16, n * size); }
void *memalign(size_t align, size_t size) { return take(align < 16 ? 16 : align, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }
int posix_memalign(void **to, size_t align, size_t size) { *to = memalign(align, size); return 0; }
void free(void *block) {}
void *realloc(void *block, size_t size) {
    void *moved = take(16, size);
    if (block) { size_t old = ((size_t *)block)[-1]; memcpy(moved, block, old < size ? old : size); }
    return moved;
}
