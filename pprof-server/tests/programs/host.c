// A program for `other_builds` that loads the plugin which is its argument, and runs it.
#include <dlfcn.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    void *plugin = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    void (*run)(void) = plugin ? (void (*)(void))dlsym(plugin, "run") : NULL;
    if (!run) abort();
    run();
    return 0;
}
