//! The program headers of an image say which of its segments are in memory.
//!
//! Between segments there may be gaps that nobody can read: where a program is linked for larger pages than the machine has,
//! and where a tool has put code or tables at the end of the file. So whatever is read of an image is bounded by the segment
//! that it is in, not by where the image begins and ends, and no reference spans a gap.
//!
//! Path: *allocation path*, sampled allocations only, and of these only addresses without a kept rule.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libc::{Elf64_Ehdr, Elf64_Phdr, PF_R, PF_X, PT_LOAD};

/// An image's program headers, as they are in memory.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    headers: &'static [Elf64_Phdr],
    /// Tells what the loader added to the addresses in them, in bytes.
    load_bias: usize,
}

/// Tells where one segment of an image was loaded.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) start: usize,
    length: usize,
    pub(super) is_code: bool,
}

impl Segments {
    pub(super) const fn new(headers: &'static [Elf64_Phdr], load_bias: usize) -> Segments {
        Segments { headers, load_bias }
    }

    pub(super) fn headers(&self) -> &'static [Elf64_Phdr] {
        self.headers
    }

    pub(super) fn load_bias(&self) -> usize {
        self.load_bias
    }

    /// The headers of the image whose first page this is. Linkers put them there. Tools that change a finished file and need
    /// more headers (BOLT) put them elsewhere, as far behind the page as in the file. `readable` yields the bytes at an
    /// address, in a given number, if they can be read.
    pub(super) fn by_page(
        page: &'static [u8],
        load_bias: usize,
        readable: impl Fn(usize, usize) -> Option<&'static [u8]>,
    ) -> Option<Segments> {
        const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
        if !page.starts_with(MAGIC) || page.len() < size_of::<Elf64_Ehdr>() {
            return None;
        }
        let (begin, header) = (page.as_ptr(), page.as_ptr().cast::<Elf64_Ehdr>());
        // SAFETY: the page is as long as a file header, which consists of integers.
        let header = unsafe { header.read_unaligned() };
        let count = usize::from(header.e_phnum);
        let offset = usize::try_from(header.e_phoff).ok()?;
        let length = count.checked_mul(size_of::<Elf64_Phdr>())?;
        let is_usual = usize::from(header.e_phentsize) == size_of::<Elf64_Phdr>();
        if !is_usual || length > page.len() {
            return None;
        }
        let in_page = page.get(offset..offset.checked_add(length)?);
        let address = begin.expose_provenance().checked_add(offset)?;
        // mutant: D5 program headers are in the first page of a library
        let bytes = in_page.or_else(|| readable(address, length))?;
        let first = bytes.as_ptr().cast::<Elf64_Phdr>();
        if bytes.len() < length || !first.is_aligned() {
            return None;
        }
        // SAFETY: the headers lie in these bytes, aligned, and consist of integers.
        let headers = unsafe { std::slice::from_raw_parts(first, count) };
        // Something else may be there, unless the headers say themselves that this part of the file is.
        let is_there = |header: &Elf64_Phdr| {
            let within = (offset as u64).wrapping_sub(header.p_offset);
            header.p_type == PT_LOAD
                && within < header.p_filesz
                && load_bias.wrapping_add(header.p_vaddr.wrapping_add(within) as usize) == address
        };
        let is_them = in_page.is_some() || headers.iter().any(is_there);
        is_them.then_some(Segments { headers, load_bias })
    }

    /// The segment that `address` is in, if it can be read.
    pub(super) fn containing(&self, address: usize) -> Option<Segment> {
        self.headers.iter().find_map(|header| {
            if header.p_type != PT_LOAD || header.p_flags & PF_R == 0 {
                return None;
            }
            let start = self.load_bias.wrapping_add(usize::try_from(header.p_vaddr).ok()?);
            let length =
                usize::try_from(header.p_memsz).ok().filter(|&length| isize::try_from(length).is_ok())?;
            // mutant: D5 unwind tables end where the code does
            if address.wrapping_sub(start) >= length {
                return None;
            }
            Some(Segment { start, length, is_code: header.p_flags & PF_X != 0 })
        })
    }
}

impl Segment {
    /// The bytes from `address` to the end of the segment, of which the caller looks at code or unwind tables.
    pub(super) fn bytes_from(&self, address: usize) -> Option<&'static [u8]> {
        let length = self.length_from(address)?;
        // SAFETY: the loader, or the kernel for the program, has mapped the whole segment so that it can be read, and the
        // image is not being unloaded, since a function of it is on our stack. We are the only users of the slice, and done
        // with it before that function goes on. Nobody writes to code and unwind tables.
        Some(unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), length) })
    }

    /// Returns an aligned word of the segment.
    pub(super) fn word_at(&self, address: usize) -> Option<usize> {
        let is_within =
            self.length_from(address)? >= size_of::<usize>() && address.is_multiple_of(align_of::<usize>());
        // SAFETY: the word can be read, as in `bytes_from`. The loader may store to it meanwhile, a whole word at once.
        let word =
            is_within.then(|| unsafe { &*std::ptr::with_exposed_provenance::<AtomicUsize>(address) })?;
        Some(word.load(Relaxed))
    }

    /// How many bytes there are from `address` to the end. `None`: it is not in the segment.
    fn length_from(&self, address: usize) -> Option<usize> {
        self.length.checked_sub(address.checked_sub(self.start)?).filter(|&length| length != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u32, flags: u32, address: u64, bytes: u64) -> Elf64_Phdr {
        Elf64_Phdr {
            p_type: kind,
            p_flags: flags,
            p_offset: 0,
            p_vaddr: address,
            p_paddr: address,
            p_filesz: bytes,
            p_memsz: bytes,
            p_align: 0x20_0000,
        }
    }

    #[repr(align(8))]
    struct Aligned([u8; 0x3000]);

    #[test]
    fn an_address_in_a_gap_is_in_no_segment() {
        let memory: &'static [u8] = Box::leak(Box::<Aligned>::new(Aligned([7; 0x3000]))).0.as_slice();
        let headers: &'static [Elf64_Phdr] = Box::leak(Box::new([
            header(libc::PT_GNU_EH_FRAME, PF_R, 0x800, 16),
            header(PT_LOAD, PF_R, 0, 0x1000),
            header(PT_LOAD, PF_R | PF_X, 0x2000, 0x800),
            header(PT_LOAD, PF_X, 0x2800, 0x800),
            header(PT_LOAD, PF_R, 0x1000, u64::MAX),
        ]));
        let base = memory.as_ptr().expose_provenance();
        let segments = Segments::new(headers, base);
        let at = |offset: usize| {
            let segment = segments.containing(base + offset)?;
            Some((segment.start - base, segment.length, segment.is_code))
        };
        assert_eq!(at(0x800), Some((0, 0x1000, false)));
        assert_eq!((at(0x1000), at(0x1fff), at(0x2800)), (None, None, None), "gaps, and what cannot be read");
        assert_eq!(at(0x2000), Some((0x2000, 0x800, true)));
        assert_eq!(segments.containing(base - 1).map(|segment| segment.start), None);
        let segment = segments.containing(base + 0x2000).unwrap();
        assert_eq!(segment.bytes_from(base + 0x2700).map(<[u8]>::len), Some(0x100));
        assert_eq!((segment.bytes_from(base), segment.bytes_from(base + 0x2800)), (None, None));
        let word = usize::from_ne_bytes([7; 8]);
        let words = [0x2000, 0x27f8, 0x2001, 0x27f9, 0x2800, 0].map(|offset| segment.word_at(base + offset));
        assert_eq!(words, [Some(word), Some(word), None, None, None, None]);
    }

    #[test]
    fn only_a_page_with_the_headers_in_it_is_believed() {
        #[repr(align(8))]
        struct Page([u8; 4096]);
        let page = |change: fn(&mut [u8; 4096])| -> &'static [u8] {
            let mut page = Box::new(Page([0; 4096]));
            page.0[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
            page.0[32] = 64;
            page.0[54] = 56;
            page.0[56] = 3;
            change(&mut page.0);
            &Box::leak(page).0
        };
        let count = |page| Segments::by_page(page, 0, |_, _| None).map(|segments| segments.headers.len());
        assert_eq!(count(page(|_| ())), Some(3));
        assert_eq!(count(page(|page| page[0] = 0)), None);
        assert_eq!(count(page(|page| page[54] = 32)), None, "of another size");
        assert_eq!(count(page(|page| page[33] = 0x10)), None, "beyond the page");
        assert_eq!(count(page(|page| page[39] = 0xff)), None);
        assert_eq!(count(page(|page| page[32] = 65)), None, "not aligned");
        assert_eq!(count(page(|page| page[56] = 73)), None, "too many");
        assert_eq!(count(&page(|_| ())[..40]), None);
    }

    #[test]
    fn headers_beyond_the_page_are_believed_if_they_say_that_they_are_there() {
        #[repr(align(4096))]
        struct Pages([u8; 0x3000]);
        let pages = |change: fn(&mut [u8; 0x3000])| -> Option<usize> {
            let mut pages = Box::new(Pages([0; 0x3000]));
            pages.0[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
            // One header of 56 bytes is at 0x2040, and says that the page around it is a segment.
            pages.0[32..34].copy_from_slice(&[0x40, 0x20]);
            (pages.0[54], pages.0[56]) = (56, 1);
            pages.0[0x2040] = PT_LOAD as u8;
            for (field, value) in [(8, 0x20), (16, 0x20), (32, 0x10)] {
                pages.0[0x2041 + field] = value;
            }
            change(&mut pages.0);
            let pages: &'static [u8] = &Box::leak(pages).0;
            let base = pages.as_ptr().addr();
            let readable = |address: usize, length: usize| {
                let start = address.checked_sub(base)?;
                pages.get(start..start.checked_add(length)?)
            };
            let segments = Segments::by_page(&pages[..4096], base, readable)?;
            Some(segments.headers.len())
        };
        assert_eq!(pages(|_| ()), Some(1));
        assert_eq!(pages(|pages| pages[0x2040] = 6), None, "none says so");
        assert_eq!(pages(|pages| pages[0x2049] = 0x10), None, "of another place in the file");
        assert_eq!(pages(|pages| pages[0x2051] = 0x10), None, "of another address");
        assert_eq!(pages(|pages| pages[33] = 0x30), None, "beyond what can be read");
        assert_eq!(pages(|pages| pages[39] = 0xff), None);
        assert_eq!(pages(|pages| pages[56] = 74), None, "more than a page of them");
    }
}
