//! This finds other copies of this crate in the process: a plugin's own, or another version's.
//!
//! Each copy has tables of its own. What is allocated through one copy is in the profile of that copy alone, and a block that
//! is freed through another one stays in use there. Copies could not share a table, because each version has another one. So
//! each copy carries an ELF note, which the linker puts among those of the program or library that the copy is part of, and
//! readers are told of the others.
//!
//! Path: *read path*.

/// Another copy of this crate in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfilerCopy {
    /// The path of the file that it is part of, as the loader calls it. It is empty for the program itself.
    pub path: std::path::PathBuf,
    /// Tells the version of the copy, such as `0.1.0`.
    pub version: String,
}

/// Returns all other copies, in the order in which the loader knows them. It finds none on systems without ELF files.
///
/// # Cost
///
/// It takes a microsecond for each library, and the loader's lock, as exceptions of C++ do.
#[must_use]
pub fn other_copies() -> Vec<ProfilerCopy> {
    crate::unsampled(|| {
        let mut found = Vec::new();
        #[cfg(target_os = "linux")]
        elf::for_each_other(|path, version| {
            let path = std::path::PathBuf::from(String::from_utf8_lossy(path).into_owned());
            found.push(ProfilerCopy { path, version: String::from_utf8_lossy(version).into_owned() });
        });
        found.dedup();
        found
    })
}

#[cfg(target_os = "linux")]
mod elf {
    use std::ffi::{CStr, c_int, c_void};

    const NAME: [u8; 15] = *b"alloc-profiler\0";
    const KIND_VERSION: u32 = 1;
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const VERSION_BYTES: usize = 16;

    /// A note as ELF has it: sizes, kind, and both texts, each of which begins at a multiple of four.
    #[repr(C, align(4))]
    struct Note {
        name_bytes: u32,
        version_bytes: u32,
        kind: u32,
        name: [u8; NAME.len()],
        _padding: u8,
        version: [u8; VERSION_BYTES],
    }

    // AddressSanitizer would put room that may not be read behind it, in the middle of the notes.
    #[cfg_attr(address_sanitizer, sanitize(address = "off"))]
    #[used]
    #[unsafe(link_section = ".note.alloc_profiler")]
    static NOTE: Note = Note {
        name_bytes: NAME.len() as u32,
        version_bytes: VERSION_BYTES as u32,
        kind: KIND_VERSION,
        name: NAME,
        _padding: 0,
        version: {
            let mut padded = [0; VERSION_BYTES];
            let (text, _) = padded.split_at_mut(VERSION.len());
            text.copy_from_slice(VERSION.as_bytes());
            padded
        },
    };

    /// Calls `found` with the path and the version of each copy but this one.
    pub(super) fn for_each_other<F: FnMut(&[u8], &[u8])>(mut found: F) {
        // SAFETY: `visit` is called with what is passed here, before this returns, and `found` is of the type that it
        // takes it for.
        unsafe { libc::dl_iterate_phdr(Some(visit::<F>), (&raw mut found).cast()) };
    }

    unsafe extern "C" fn visit<F: FnMut(&[u8], &[u8])>(
        image: *mut libc::dl_phdr_info,
        _bytes: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a record that is valid for this call, and what `for_each_other` gave it.
        let (image, found) = unsafe { (&*image, &mut *found.cast::<F>()) };
        if image.dlpi_phdr.is_null() {
            return 0;
        }
        // SAFETY: the loader's own copy of the program headers, as many as it says.
        let headers = unsafe { std::slice::from_raw_parts(image.dlpi_phdr, image.dlpi_phnum.into()) };
        let path: &[u8] = match image.dlpi_name.is_null() {
            true => &[],
            // SAFETY: the name is terminated, and is there as long as the image.
            false => unsafe { CStr::from_ptr(image.dlpi_name) }.to_bytes(),
        };
        for header in headers.iter().filter(|header| header.p_type == libc::PT_NOTE) {
            #[allow(clippy::useless_conversion, reason = "the types differ where addresses have 32 bits")]
            let (Ok(address), Ok(bytes)) = (usize::try_from(header.p_vaddr), usize::try_from(header.p_memsz))
            else {
                continue;
            };
            let start =
                std::ptr::with_exposed_provenance::<u8>((image.dlpi_addr as usize).wrapping_add(address));
            // SAFETY: notes are part of what is loaded, may be read, and nobody writes them; the image is not unloaded
            // while the loader shows it to us.
            let notes = unsafe { std::slice::from_raw_parts(start, bytes) };
            versions(notes, header.p_align as usize, |note, version| {
                if !std::ptr::eq(note, (&raw const NOTE).cast()) {
                    found(path, version);
                }
            });
        }
        0
    }

    /// Calls `found` with the address and the version of each note of ours.
    fn versions(mut notes: &[u8], align: usize, mut found: impl FnMut(*const u8, &[u8])) {
        const HEAD_BYTES: usize = 12;
        let align = if align == 8 { 8 } else { 4 };
        while let Some((head, rest)) = notes.split_at_checked(HEAD_BYTES) {
            let (words, _) = head.as_chunks::<4>();
            let &[name_bytes, text_bytes, kind] = words else { return };
            let [name_bytes, text_bytes] =
                [name_bytes, text_bytes].map(|word| u32::from_ne_bytes(word) as usize);
            // Both texts are padded to multiples that count from the beginning of the note.
            let text_start = HEAD_BYTES.saturating_add(name_bytes).next_multiple_of(align);
            let end = text_start.saturating_add(text_bytes);
            let name = rest.get(..name_bytes);
            if let (Some(text), true, KIND_VERSION) =
                (notes.get(text_start..end), name == Some(&NAME), u32::from_ne_bytes(kind))
            {
                let len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                found(notes.as_ptr(), text.get(..len).unwrap_or(text));
            }
            notes = notes.get(end.next_multiple_of(align)..).unwrap_or(&[]);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn note(name: &[u8], kind: u32, text: &[u8], align: usize) -> Vec<u8> {
            let mut bytes = Vec::new();
            for word in [name.len() as u32, text.len() as u32, kind] {
                bytes.extend(word.to_ne_bytes());
            }
            for part in [name, text] {
                bytes.extend(part);
                bytes.resize(bytes.len().next_multiple_of(align), 0);
            }
            bytes
        }

        #[test]
        fn our_notes_are_found_among_others() {
            let of = |notes: &[u8], align| {
                let mut found = Vec::new();
                versions(notes, align, |_, version| {
                    found.push(String::from_utf8_lossy(version).into_owned())
                });
                found
            };
            for align in [4, 8] {
                let mut notes = note(b"GNU\0", 3, &[7; 20], align);
                notes.extend(note(&NAME, KIND_VERSION, b"1.2.3\0\0\0", align));
                notes.extend(note(&NAME, 9, b"not a version", align));
                notes.extend(note(&NAME, KIND_VERSION, b"0.9", align));
                assert_eq!(of(&notes, align), ["1.2.3", "0.9"]);
                // Cut anywhere, nothing is read beyond.
                (0..notes.len()).for_each(|len| drop(of(&notes[..len], align)));
            }
            assert!(of(&[0xff; 64], 4).is_empty());
        }

        #[test]
        fn there_is_one_of_us_and_it_is_not_another() {
            let mut all = 0;
            for_each_other(|_, _| all += 1);
            assert_eq!(all, 0);
            assert!(crate::other_copies().is_empty());
        }
    }
}
