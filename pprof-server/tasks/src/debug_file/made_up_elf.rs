//! Files that tests make up.

/// Makes an ELF file that has these sections and nothing else.
pub(crate) fn elf_of(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0; 64];
    let mut names = vec![0];
    let mut headers = vec![[0_u64; 4]];
    for (name, bytes) in sections {
        headers.push([names.len() as u64, 1, file.len() as u64, bytes.len() as u64]);
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        file.extend_from_slice(bytes);
    }
    headers.push([names.len() as u64, 3, file.len() as u64, names.len() as u64 + 10]);
    names.extend_from_slice(b".shstrtab\0");
    file.extend_from_slice(&names);
    file.resize(file.len().next_multiple_of(8), 0);
    let start = file.len() as u64;
    for [name, kind, offset, bytes] in &headers {
        file.extend_from_slice(&(*name as u32).to_ne_bytes());
        file.extend_from_slice(&(*kind as u32).to_ne_bytes());
        for word in [0, 0, *offset, *bytes, 0, 1, 0] {
            file.extend_from_slice(&word.to_ne_bytes());
        }
    }
    file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "big") { 2 } else { 1 }]);
    file[6] = 1;
    file[40..48].copy_from_slice(&start.to_ne_bytes());
    file[58..60].copy_from_slice(&64_u16.to_ne_bytes());
    file[60..62].copy_from_slice(&(headers.len() as u16).to_ne_bytes());
    file[62..64].copy_from_slice(&(headers.len() as u16 - 1).to_ne_bytes());
    file
}
