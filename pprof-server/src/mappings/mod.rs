//! This lists the executable mappings of this process: `/proc/self/maps` is read once for each profile.
//!
//! A profile carries those that its addresses are in as the kernel lists them, so that `go tool pprof` can find its way
//! from an address to a place in a file. Neighbours of one file, such as `mprotect` makes, become one. Every profile
//! has them from here; `symbols` uses the load bias and the build id. macOS and Windows have no `/proc`, so their loaders are
//! asked. Where there is neither, the list is empty and addresses stay bare.
//!
//! Libraries that are no longer there follow, at addresses where no program has memory; these have the number of the
//! image in them. So stacks in them keep their names, and stacks in what took their place have the names of that.
//!
//! Path: *read path*.

#[cfg(feature = "http")]
pub(crate) mod data_ranges;
pub(crate) mod elf_image;
pub(crate) mod files;
mod images;
#[cfg(any(target_os = "macos", windows))]
mod loaded;
pub(crate) mod mapped_file;
mod maps;

use alloc_profiler::{CodeAddress, ImageId, images, program_entry};
use elf_image::Image;
use images::{CodeRange, Images, MappedImage};
pub(crate) use maps::to_path;
use maps::{Line, file_path};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The mappings are read so often at most. The last reading must do even if libraries came or went meanwhile.
const TRIES: usize = 3;

/// Every executable mapping that has a name, the main binary's first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mappings {
    list: Vec<Mapping>,
    /// Holds indices into `list`, ascending by start address.
    by_start: Vec<usize>,
    /// The images that are where they were when stacks were taken in them, in ascending order.
    present: Vec<ImageId>,
}

/// Describes one executable range of the address space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Tells the first address.
    pub(crate) start: u64,
    /// Tells the first address after it.
    pub(crate) limit: u64,
    /// Tells where `start` lies in the file, in bytes.
    pub(crate) offset: u64,
    /// Holds the inode of the file; it is 0 for `[vdso]` and `[vsyscall]`.
    pub(crate) inode: u64,
    /// Holds the path of the file, without the kernel's ` (deleted)`.
    pub(crate) path: String,
    /// The exact path, which differs from `path` where it is no valid text.
    pub(crate) exact_path: PathBuf,
    /// GNU build id in lower-case hexadecimal; empty if there is none.
    pub(crate) build_id: String,
    /// Holds the fingerprint of the file's first page; it is 0 if unknown.
    pub(crate) fingerprint: u64,
    /// What is subtracted (wrapping) from an address to get the file's own virtual address.
    pub(crate) load_bias: u64,
    /// Tells the program itself (true) from libraries (false).
    pub(crate) is_main: bool,
}

impl Mapping {
    /// Returns the address as the file's program headers, symbol table and debug information count it.
    pub(crate) fn elf_address(&self, address: u64) -> u64 {
        address.wrapping_sub(self.load_bias)
    }

    /// Returns the path to open the file by.
    pub(crate) fn file(&self) -> &Path {
        if self.exact_path.as_os_str().is_empty() { self.path.as_ref() } else { &self.exact_path }
    }

    /// Whether it is the file of the C library, the loader or the compiler's runtime, or the kernel's. Hardly any system
    /// has names for what is not exported there, and every thread begins in it.
    pub(crate) fn is_of_system(&self) -> bool {
        /// The names of the system's files begin with these.
        const SYSTEM: [&str; 7] =
            ["libc.so", "libc-2", "ld-linux", "libpthread", "ld-musl", "libgcc_s", "[v"];
        !self.is_main && SYSTEM.iter().any(|prefix| self.file_name().starts_with(prefix))
    }

    /// Whether somebody can be told to build or to install the file otherwise: it is a file, and not the system's.
    pub(crate) fn is_judged(&self) -> bool {
        !self.path.starts_with('[') && !self.is_of_system()
    }

    /// Takes over the mapping that follows, if it continues this one.
    fn join(&mut self, next: &Mapping) -> bool {
        let joined = next.start == self.limit
            && next.load_bias == self.load_bias
            && next.offset == self.offset.wrapping_add(self.limit.wrapping_sub(self.start))
            && (next.inode, &next.path, &next.build_id) == (self.inode, &self.path, &self.build_id);
        if joined {
            self.limit = next.limit;
        }
        joined
    }

    /// Returns the last component of the path, or `[vdso]`.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Mappings {
    /// Reads the mappings of this process, and the build id and load bias of each mapped file. These come from memory
    /// rather than from disk, since the file may have been replaced since.
    ///
    /// Cost: two system calls for each mapped library, some 10 µs each, and 1 µs for each line of `/proc/self/maps`.
    pub(crate) fn of_process() -> Mappings {
        #[cfg(any(target_os = "macos", windows))]
        return Mappings::new(loaded::mappings());
        #[cfg(not(any(target_os = "macos", windows)))]
        Mappings::of_proc()
    }

    #[cfg_attr(any(target_os = "macos", windows), allow(dead_code, reason = "there is no `/proc`"))]
    fn of_proc() -> Mappings {
        let mut text = files::maps();
        for _ in 0..TRIES {
            let (list, mapped) = with_images(&text);
            let now = files::maps();
            // Otherwise an image may be of another file than the one that is named.
            if is_same_code(&now, &text) {
                return Mappings::with_absent(list, &mapped, images());
            }
            text = now;
        }
        // Mappings change too fast to tell which is which: only the libraries that the profiler itself has seen are
        // told.
        let (list, _) = with_images(&text);
        Mappings::with_absent(list, &[], images())
    }

    /// Returns `list` and those of `images` that are not among `mapped`.
    fn with_absent(
        mut list: Vec<Mapping>,
        mapped: &[MappedImage],
        images: impl Iterator<Item = alloc_profiler::Image>,
    ) -> Mappings {
        if list.is_empty() {
            // There is no `/proc`. Readers would take the first library for the program.
            return Mappings::default();
        }
        let mut present = Vec::new();
        for image in images {
            let as_mapped = MappedImage { start: image.start as u64, fingerprint: image.fingerprint };
            // mutant: A8 whatever is there is taken for the library
            if mapped.contains(&as_mapped) { present.push(image.id) } else { list.push(absent(&image)) }
        }
        present.sort_unstable();
        Mappings { present, ..Mappings::new(list) }
    }

    /// Puts `list` into the order that profiles want.
    pub(crate) fn new(mut list: Vec<Mapping>) -> Mappings {
        // The sort is stable, so libraries stay in the kernel's order. Viewers take the first entry for the program.
        list.sort_by_key(|mapping| !mapping.is_main);
        let mut by_start: Vec<usize> = (0..list.len()).collect();
        by_start.sort_by_key(|&index| list[index].start);
        Mappings { list, by_start, present: Vec::new() }
    }

    /// Returns all mappings. The index of each is the profile's mapping id minus one.
    pub(crate) fn as_slice(&self) -> &[Mapping] {
        &self.list
    }

    /// Returns the index of the program's mapping, which is the first, and of those that some of `addresses` are in.
    pub(crate) fn used(&self, addresses: &[u64]) -> Vec<usize> {
        let mut used: Vec<usize> = addresses.iter().filter_map(|&address| self.index_of(address)).collect();
        used.extend((!self.list.is_empty()).then_some(0));
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Writes these mappings as lines of `/proc/self/maps`, for readers of Go's text.
    pub(crate) fn text(&self, addresses: &[u64]) -> String {
        let mut text = String::new();
        for Mapping { start, limit, offset, inode, path, .. } in
            self.used(addresses).into_iter().map(|index| &self.list[index])
        {
            let path = path.replace('\n', "\\012");
            let _ = writeln!(text, "{start:x}-{limit:x} r-xp {offset:08x} 00:00 {inode} {path}");
        }
        text
    }

    /// Returns the address of the call that a frame of a snapshot is at. It is the address itself if its image is still
    /// there, and otherwise one among those of images that are gone.
    pub(crate) fn call_address(&self, frame: CodeAddress) -> u64 {
        self.address_in(frame.image(), frame.lookup())
    }

    /// Returns where the code is that a profile of this process has at `address`.
    #[cfg(feature = "http")]
    pub(crate) fn present_address(&self, address: u64) -> u64 {
        let code = CodeAddress::from_bits(address as usize);
        self.address_in(code.image(), code.address())
    }

    fn address_in(&self, image: Option<ImageId>, address: usize) -> u64 {
        let gone = image.filter(|image| self.present.binary_search(image).is_err());
        gone.map_or(address, |image| image.apart(address)) as u64
    }

    /// Returns the index of the mapping that contains `address`.
    pub(crate) fn index_of(&self, address: u64) -> Option<usize> {
        let after = self.by_start.partition_point(|&index| self.list[index].start <= address);
        let index = *self.by_start.get(after.checked_sub(1)?)?;
        (address < self.list[index].limit).then_some(index)
    }
}

/// Whether the kernel lists the same code in both texts.
fn is_same_code(a: &[u8], b: &[u8]) -> bool {
    let code = |text| maps::lines(text).filter(|line| line.is_executable);
    a == b || code(a).eq(code(b))
}

/// Returns the mappings with what their files say of themselves, and the images that were seen.
fn with_images(text: &[u8]) -> (Vec<Mapping>, Vec<MappedImage>) {
    let images = Images::of(text);
    let known = images.look();
    (joined(&images.code_ranges(&known), program_entry() as u64), Images::mapped(&known))
}

/// Makes mappings of the ranges, and one of those that continue one another. The program is the file that has `entry`.
fn joined(ranges: &[CodeRange<'_>], entry: u64) -> Vec<Mapping> {
    let of_program = ranges.iter().find(|range| (range.line.start..range.line.limit).contains(&entry));
    let mut list: Vec<Mapping> = Vec::new();
    let mut last: Option<&Line<'_>> = None;
    for range in ranges {
        let is_main = of_program.is_some_and(|program| program.line.is_of_same_file(&range.line));
        let mapping = match (list.last(), last) {
            // The path of each file is looked at once.
            (Some(before), Some(last)) if last.is_of_same_file(&range.line) => placed(range, before.clone()),
            _ => placed(range, named(range, is_main)),
        };
        if !list.last_mut().is_some_and(|before| before.join(&mapping)) {
            list.push(mapping);
        }
        last = Some(&range.line);
    }
    // Viewers take the first mapping for the program.
    if let Some(index) = list.iter().position(|mapping| (mapping.start..mapping.limit).contains(&entry)) {
        list[..=index].rotate_right(1);
    }
    list
}

/// Makes a mapping of the file of `range`.
fn named(range: &CodeRange<'_>, is_main: bool) -> Mapping {
    let file = file_path(range.line.path, range.line.inode);
    let path = file.to_string_lossy().into_owned();
    let exact_path = if file.as_os_str() == &*path { PathBuf::new() } else { file };
    Mapping { path, exact_path, is_main, inode: range.line.inode, ..Mapping::default() }
}

/// Makes the mapping of the same file at `range`.
fn placed(range: &CodeRange<'_>, file: Mapping) -> Mapping {
    let Line { start, limit, offset, inode, .. } = range.line;
    // The file on disk is second best, and only if it is the one that was mapped.
    let on_disk = || if inode == 0 { None } else { Image::in_file(file.file(), Some(inode)) };
    let image = match range.image {
        Some(image) => Some(image.clone()),
        None => on_disk(),
    };
    let bias = image.as_ref().and_then(|image| image.load_bias(start, offset));
    Mapping {
        start,
        limit,
        offset,
        load_bias: bias.unwrap_or(start.wrapping_sub(offset)),
        fingerprint: image.as_ref().map_or(0, |image| image.fingerprint),
        build_id: image.map(|image| image.build_id).unwrap_or_default(),
        ..file
    }
}

/// Makes the mapping of an image that is no longer where it was, at addresses where no program has memory. Its file is
/// asked for names if it has not changed.
fn absent(gone: &alloc_profiler::Image) -> Mapping {
    let exact_path = to_path(gone.path);
    let image = Image::in_file(&exact_path, None).filter(|image| image.fingerprint == gone.fingerprint);
    let image = image.unwrap_or_default();
    Mapping {
        start: gone.id.apart(gone.start) as u64,
        limit: gone.id.apart(gone.end) as u64,
        inode: image.inode,
        path: exact_path.to_string_lossy().into_owned(),
        exact_path,
        build_id: image.build_id,
        load_bias: gone.id.apart(0).wrapping_add(gone.load_bias) as u64,
        ..Mapping::default()
    }
}

/// Checks what must hold of any maps file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let images = Images::of(bytes);
    let mappings = Mappings::new(joined(&images.code_ranges(&Default::default()), 0x1000));
    for (index, mapping) in mappings.as_slice().iter().enumerate() {
        assert!(!mapping.path.is_empty());
        if let Some(found) = mappings.index_of(mapping.start) {
            let found = &mappings.as_slice()[found];
            assert!(found.start <= mapping.start && mapping.start < found.limit, "{index}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0000001000 r--p 00000000 fe:00 11                         /usr/lib/lib one.so (deleted)
7f0000001000-7f0000003000 r-xp 00001000 fe:00 11                         /usr/lib/lib one.so (deleted)
7f0000004000-7f0000005000 r-xp 00000000 00:00 0 
7f0000005000-7f0000006000 rwxp 00000000 00:00 0                          [anon:jit]
7f0000007000-7f0000008000 rw-p 00000000 00:00 0                          [heap]
7f0000010000-7f0000012000 r--p 00000000 fe:00 12                         /srv/app
7f0000012000-7f0000014000 r-xp 00002000 fe:00 12                         /srv/app
7fff00000000-7fff00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
not a line
zz-zz r-xp 0 0 0 /bad
";

    fn parsed(text: &str, entry: u64) -> Mappings {
        Mappings::new(joined(&Images::of(text.as_bytes()).code_ranges(&Default::default()), entry))
    }

    #[test]
    fn named_executable_lines_are_kept_and_the_main_binary_comes_first() {
        let mappings = parsed(MAPS, 0x7f00_0001_2345);
        let paths: Vec<&str> = mappings.as_slice().iter().map(|mapping| &mapping.path[..]).collect();
        assert_eq!(paths, ["/srv/app", "/usr/lib/lib one.so", "[vdso]", "[vsyscall]"]);
        let library = &mappings.as_slice()[1];
        assert_eq!((library.start, library.limit), (0x7f00_0000_1000, 0x7f00_0000_3000));
        assert_eq!((library.offset, library.inode, library.is_main), (0x1000, 11, false));
        assert_eq!(library.file_name(), "lib one.so");
    }

    #[test]
    fn neighbours_of_one_file_are_one() {
        let split = "\
7f0000001000-7f0000002000 r-xp 00001000 fe:00 11  /lib/a.so
7f0000002000-7f0000003000 rwxp 00002000 fe:00 11  /lib/a.so
7f0000003000-7f0000004000 r-xp 00004000 fe:00 11  /lib/a.so
7f0000004000-7f0000005000 r-xp 00005000 fe:00 12  /lib/b.so
7f0000006000-7f0000007000 r-xp 00007000 fe:00 12  /lib/b.so
";
        let mappings = parsed(split, 0);
        let found: Vec<(u64, u64)> = mappings
            .as_slice()
            .iter()
            .map(|mapping| (mapping.start & 0xffff, mapping.limit & 0xffff))
            .collect();
        assert_eq!(found, [(0x1000, 0x3000), (0x3000, 0x4000), (0x4000, 0x5000), (0x6000, 0x7000)]);
    }

    #[test]
    fn an_address_is_found_in_its_mapping_only() {
        let mappings = parsed(MAPS, 0x7f00_0001_2345);
        assert_eq!(mappings.index_of(0x7f00_0001_2000), Some(0));
        assert_eq!(mappings.index_of(0x7f00_0001_3fff), Some(0));
        assert_eq!(mappings.index_of(0x7f00_0001_4000), None);
        assert_eq!(mappings.index_of(0x7f00_0000_1000), Some(1));
        assert_eq!(mappings.index_of(0), None);
        assert_eq!(mappings.index_of(u64::MAX), None);
        assert_eq!(Mappings::default().index_of(7), None);
    }

    #[test]
    fn garbage_is_no_mapping() {
        assert!(parsed("", 0).as_slice().is_empty());
        assert!(parsed("-\n - - - -\n1-2 x\n", 0).as_slice().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_main_binary_with_its_own_code_in_it() {
        let mappings = Mappings::of_process();
        assert!(mappings.as_slice()[0].is_main);
        let here = this_process_has_a_main_binary_with_its_own_code_in_it as fn() as usize as u64;
        assert!(mappings.as_slice()[mappings.index_of(here).unwrap()].is_main);
        assert!(mappings.as_slice().iter().any(|mapping| mapping.path == "[vdso]"));
    }
}
