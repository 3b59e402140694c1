//! The executable mappings of this process: `/proc/self/maps`, read once for each profile.
//!
//! A profile carries them exactly as the kernel lists them, so that `go tool pprof` can find its way from an
//! address to a place in a file. Called by `encode` for every profile; `symbols` uses the load bias and the
//! build id. Where there is no `/proc`, the list is empty and addresses stay bare.
//!
//! Libraries that are no longer there follow, where no program has any memory: at their addresses as the profiler
//! tags them. So stacks of theirs keep their names, and those of what took their place its own.
//!
//! Path: *read path*.

use crate::symbols::files;
use crate::symbols::image::Image;
use alloc_profiler::{Library, libraries, untagged};

/// Readings of the mappings before one that libraries came or went during must do.
const TRIES: usize = 3;

/// Every executable mapping with a name, the main binary's first.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    list: Vec<Mapping>,
    /// Indices into `list`, ascending by start address.
    by_start: Vec<usize>,
    /// Tags of the libraries that are where they were when they were tagged, ascending.
    present: Vec<usize>,
}

/// A file's image in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MappedImage {
    start: u64,
    fingerprint: u64,
}

/// One executable range of the address space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// First address.
    pub(crate) start: u64,
    /// First address after it.
    pub(crate) limit: u64,
    /// Offset of `start` in the file, in bytes.
    pub(crate) offset: u64,
    /// Inode of the file; 0 for `[vdso]` and `[vsyscall]`.
    pub(crate) inode: u64,
    /// Path of the file, without the kernel's ` (deleted)`.
    pub(crate) path: String,
    /// GNU build id in lower-case hexadecimal; empty if there is none.
    pub(crate) build_id: String,
    /// What to subtract (wrapping) from an address for the file's own virtual address.
    pub(crate) load_bias: u64,
    /// True for the program itself, false for libraries.
    pub(crate) is_main: bool,
}

impl Mapping {
    /// The address as the file's program headers, symbol table and debug information count it.
    pub(crate) fn elf_address(&self, address: u64) -> u64 {
        address.wrapping_sub(self.load_bias)
    }

    /// Last component of the path, or `[vdso]`.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Mappings {
    /// Reads the mappings of this process, and of each mapped file its build id and load bias, from memory
    /// rather than from disk: the file may have been replaced since.
    ///
    /// Cost: two system calls for each mapped library, some 10 µs each.
    pub(crate) fn of_process() -> Mappings {
        let mut maps = executable_mappings();
        for _ in 0..TRIES {
            let (list, images) = with_images(&maps);
            let now = executable_mappings();
            // Else an image may be another file's than the one that is named.
            if now.is_same(&maps) {
                return Mappings::with_libraries(list, &images, libraries());
            }
            maps = now;
        }
        // Too much is going on to tell who is who: of libraries only what the profiler itself has seen.
        let (list, _) = with_images(&maps);
        Mappings::with_libraries(list, &[], libraries())
    }

    /// `list` and the libraries that are not among `images`.
    fn with_libraries(
        mut list: Vec<Mapping>,
        images: &[MappedImage],
        libraries: impl Iterator<Item = Library>,
    ) -> Mappings {
        if list.is_empty() {
            // No `/proc`: readers would take the first library for the program.
            return Mappings::default();
        }
        let mut present = Vec::new();
        for library in libraries {
            let image = MappedImage { start: library.start as u64, fingerprint: library.fingerprint };
            if images.contains(&image) { present.push(library.tag) } else { list.push(absent(&library)) }
        }
        present.sort_unstable();
        Mappings { present, ..Mappings::new(list) }
    }

    /// `list` in the order that profiles want.
    pub(crate) fn new(mut list: Vec<Mapping>) -> Mappings {
        // Stable: libraries stay in the kernel's order. Viewers take the first entry for the program.
        list.sort_by_key(|mapping| !mapping.is_main);
        let mut by_start: Vec<usize> = (0..list.len()).collect();
        by_start.sort_by_key(|&index| list[index].start);
        Mappings { list, by_start, present: Vec::new() }
    }

    /// All of them; the index is the profile's mapping id minus one.
    pub(crate) fn as_slice(&self) -> &[Mapping] {
        &self.list
    }

    /// Where the code is that was at `address`, a return address of a snapshot: as it stands, if its library is
    /// still there; else among those of libraries that are gone.
    pub(crate) fn place_of(&self, address: usize) -> usize {
        let plain = untagged(address);
        let is_present = plain == address || self.present.binary_search(&(address - plain)).is_ok();
        if is_present { plain } else { address }
    }

    /// Index of the mapping that contains `address`.
    pub(crate) fn index_of(&self, address: u64) -> Option<usize> {
        let after = self.by_start.partition_point(|&index| self.list[index].start <= address);
        let index = *self.by_start.get(after.checked_sub(1)?)?;
        (address < self.list[index].limit).then_some(index)
    }
}

/// What the kernel lists.
struct Maps {
    text: String,
    list: Vec<Mapping>,
}

impl Maps {
    fn is_same(&self, other: &Maps) -> bool {
        self.list == other.list
    }
}

fn executable_mappings() -> Maps {
    let text = files::maps();
    let text = String::from_utf8_lossy(&text).into_owned();
    let main_path = files::program_path();
    let list = parse(&text, without_deleted(&main_path.to_string_lossy()));
    Maps { text, list }
}

/// The mappings with what their files say of themselves, and the images that were seen.
fn with_images(maps: &Maps) -> (Vec<Mapping>, Vec<MappedImage>) {
    let bases = image_bases(&maps.text);
    let memory = files::memory();
    let mut images = Vec::new();
    let complete = |mapping: &Mapping| {
        let base = bases.iter().rev().find(|base| base.address <= mapping.start && base.is_of(mapping));
        let mapped =
            memory.as_ref().zip(base).and_then(|(memory, base)| Image::in_memory(memory, base.address));
        let on_disk = if mapping.is_main { files::RUNNING_PROGRAM } else { &mapping.path };
        // The file is second best, and only if it is the one that was mapped.
        let image = mapped.or_else(|| Image::in_file(on_disk.as_ref(), Some(mapping.inode)));
        if let (Some(base), Some(image)) = (base, &image) {
            images.push(MappedImage { start: base.address, fingerprint: image.fingerprint });
        }
        let bias = image.as_ref().and_then(|image| image.load_bias(mapping.start, mapping.offset));
        Mapping {
            load_bias: bias.unwrap_or(mapping.start.wrapping_sub(mapping.offset)),
            build_id: image.map(|image| image.build_id).unwrap_or_default(),
            ..mapping.clone()
        }
    };
    (maps.list.iter().map(complete).collect(), images)
}

/// A library that is no longer where it was, at its tagged addresses. Its file is asked for names if that has not
/// changed.
fn absent(library: &Library) -> Mapping {
    let path = String::from_utf8_lossy(library.path).into_owned();
    let image = Image::in_file(path.as_ref(), None).filter(|image| image.fingerprint == library.fingerprint);
    let image = image.unwrap_or_default();
    Mapping {
        start: (library.tag | library.start) as u64,
        limit: (library.tag | library.end) as u64,
        inode: image.inode,
        path,
        build_id: image.build_id,
        load_bias: library.tag.wrapping_add(library.load_bias) as u64,
        ..Mapping::default()
    }
}

/// The executable lines of a maps file that have a name.
fn parse(maps: &str, main_path: &str) -> Vec<Mapping> {
    let lines = maps.lines().filter_map(MapsLine::parse);
    lines
        .filter(|line| line.permissions.contains('x') && is_file_or_vdso(line.path))
        .map(|line| Mapping {
            start: line.start,
            limit: line.limit,
            offset: line.offset,
            inode: line.inode,
            path: without_deleted(line.path).to_owned(),
            is_main: without_deleted(line.path) == main_path,
            ..Mapping::default()
        })
        .collect()
}

/// Just-in-time code has no name, or one like `[anon:…]`: nobody could look an address up in it.
fn is_file_or_vdso(path: &str) -> bool {
    matches!(path, "[vdso]" | "[vsyscall]") || !path.is_empty() && !path.starts_with('[')
}

/// The kernel marks a mapped file whose name is gone, as after an upgrade in place.
fn without_deleted(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}

/// Where the beginning of a file is mapped: its ELF header can be read there.
struct ImageBase<'a> {
    address: u64,
    inode: u64,
    path: &'a str,
}

impl ImageBase<'_> {
    fn is_of(&self, mapping: &Mapping) -> bool {
        self.inode == mapping.inode && self.path == mapping.path
    }
}

/// The image bases in a maps file, ascending by address.
fn image_bases(maps: &str) -> Vec<ImageBase<'_>> {
    maps.lines()
        .filter_map(MapsLine::parse)
        .filter(|line| line.offset == 0 && line.permissions.starts_with('r') && is_file_or_vdso(line.path))
        .map(|line| ImageBase { address: line.start, inode: line.inode, path: without_deleted(line.path) })
        .collect()
}

/// `start-limit permissions offset device inode path`; the path is the rest of the line and may hold spaces.
struct MapsLine<'a> {
    start: u64,
    limit: u64,
    permissions: &'a str,
    offset: u64,
    inode: u64,
    path: &'a str,
}

impl<'a> MapsLine<'a> {
    fn parse(line: &'a str) -> Option<MapsLine<'a>> {
        let mut rest = line;
        let mut field = || {
            let (field, tail) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
            rest = tail;
            field
        };
        let (start, limit) = field().split_once('-')?;
        let (permissions, offset, _device, inode) = (field(), field(), field(), field());
        Some(MapsLine {
            start: u64::from_str_radix(start, 16).ok()?,
            limit: u64::from_str_radix(limit, 16).ok()?,
            permissions,
            offset: u64::from_str_radix(offset, 16).ok()?,
            inode: inode.parse().ok()?,
            path: rest.trim_start(),
        })
    }
}

/// What must hold of any maps file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mappings = Mappings::new(parse(&text, "/srv/app"));
    let _ = image_bases(&text);
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

    #[test]
    fn named_executable_lines_are_kept_and_the_main_binary_comes_first() {
        let mappings = Mappings::new(parse(MAPS, "/srv/app"));
        let paths: Vec<&str> = mappings.as_slice().iter().map(|mapping| &mapping.path[..]).collect();
        assert_eq!(paths, ["/srv/app", "/usr/lib/lib one.so", "[vdso]", "[vsyscall]"]);
        let library = &mappings.as_slice()[1];
        assert_eq!((library.start, library.limit), (0x7f00_0000_1000, 0x7f00_0000_3000));
        assert_eq!((library.offset, library.inode, library.is_main), (0x1000, 11, false));
        assert_eq!(library.file_name(), "lib one.so");
    }

    #[test]
    fn an_address_is_found_in_its_mapping_only() {
        let mappings = Mappings::new(parse(MAPS, "/srv/app"));
        assert_eq!(mappings.index_of(0x7f00_0001_2000), Some(0));
        assert_eq!(mappings.index_of(0x7f00_0001_3fff), Some(0));
        assert_eq!(mappings.index_of(0x7f00_0001_4000), None);
        assert_eq!(mappings.index_of(0x7f00_0000_1000), Some(1));
        assert_eq!(mappings.index_of(0), None);
        assert_eq!(mappings.index_of(u64::MAX), None);
        assert_eq!(Mappings::default().index_of(7), None);
    }

    #[test]
    fn an_image_begins_where_offset_zero_is_mapped() {
        let bases = image_bases(MAPS);
        let found: Vec<(u64, &str)> = bases.iter().map(|base| (base.address, base.path)).collect();
        assert_eq!(
            found,
            [
                (0x7f00_0000_0000, "/usr/lib/lib one.so"),
                (0x7f00_0001_0000, "/srv/app"),
                (0x7fff_0000_0000, "[vdso]")
            ]
        );
    }

    #[test]
    fn garbage_is_no_mapping() {
        assert!(parse("", "").is_empty());
        assert!(parse("-\n - - - -\n1-2 x\n", "").is_empty());
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
