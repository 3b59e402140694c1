//! Types in debug information that the tests make up.

use super::store::ImageTypes;
use super::{Shape, Tag, TypeId, Types};
use crate::debug_file::made_up_elf::elf_of;
use crate::debug_file::{DebugFile, ReadAt, Unit};
use crate::scan::{Found, scan};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

type Attribute = (gimli::DwAt, gimli::DwForm);
const NAME: Attribute = (gimli::DW_AT_name, gimli::DW_FORM_string);
const BYTES: Attribute = (gimli::DW_AT_byte_size, gimli::DW_FORM_data1);
const TYPE: Attribute = (gimli::DW_AT_type, gimli::DW_FORM_ref_addr);
const OFFSET: Attribute = (gimli::DW_AT_data_member_location, gimli::DW_FORM_data1);
const TAG: Attribute = (gimli::DW_AT_discr, gimli::DW_FORM_ref4);
const TAG_VALUE: Attribute = (gimli::DW_AT_discr_value, gimli::DW_FORM_data1);

/// What the entries below have, by the number that each begins with: the tag, whether there are children, and the attributes.
const ABBREVIATIONS: [(u8, gimli::DwTag, bool, &[Attribute]); 7] = [
    (UNIT, gimli::DW_TAG_compile_unit, true, &[]),
    (NUMBER, gimli::DW_TAG_base_type, false, &[NAME, BYTES]),
    (DECLARED, gimli::DW_TAG_structure_type, false, &[NAME]),
    (FUTURE, gimli::DW_TAG_structure_type, true, &[NAME, BYTES]),
    (VARIANTS, gimli::DW_TAG_variant_part, true, &[TAG]),
    (MEMBER, gimli::DW_TAG_member, false, &[NAME, TYPE, OFFSET]),
    (VARIANT, gimli::DW_TAG_variant, true, &[TAG_VALUE]),
];
const UNIT: u8 = 1;
const NUMBER: u8 = 2;
const DECLARED: u8 = 3;
const FUTURE: u8 = 4;
const VARIANTS: u8 = 5;
const MEMBER: u8 = 6;
const VARIANT: u8 = 7;
const END_OF_CHILDREN: u8 = 0;
const HEADER_BYTES: usize = 12;

fn abbreviations() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, tag, has_children, attributes) in ABBREVIATIONS {
        // The constants are small, but for a tag or an attribute or two, and are written in seven bits a byte.
        let mut push = |value: u16| match value {
            0..0x80 => bytes.push(value as u8),
            _ => bytes.extend([value as u8 | 0x80, (value >> 7) as u8]),
        };
        push(number.into());
        push(tag.0);
        push(has_children.into());
        attributes.iter().flat_map(|(name, form)| [name.0, form.0]).chain([0, 0]).for_each(push);
    }
    bytes.push(0);
    bytes
}

/// Returns a unit of DWARF 5 that has these entries.
fn unit_of(entries: &[u8]) -> Vec<u8> {
    let (version, kind, address_bytes, abbreviations) = (5_u16, 1_u8, 8_u8, 0_u32);
    let mut rest = version.to_ne_bytes().to_vec();
    rest.extend([kind, address_bytes]);
    rest.extend(abbreviations.to_ne_bytes());
    rest.push(UNIT);
    rest.extend(entries);
    rest.push(END_OF_CHILDREN);
    [&(rest.len() as u32).to_ne_bytes()[..], &rest].concat()
}

/// Returns the type `u8`, or one of that name that is only declared.
fn number(bytes: Option<u8>) -> Vec<u8> {
    match bytes {
        Some(bytes) => [&[NUMBER][..], b"u8\0", &[bytes]].concat(),
        None => [&[DECLARED][..], b"u8\0"].concat(),
    }
}

/// Returns a future with two states. The number that tells them apart is 9 bytes from its start, and its type is that at `tag`.
fn future(tag: u32) -> Vec<u8> {
    let member = |name: &[u8], offset| [&[MEMBER][..], name, &tag.to_ne_bytes(), &[offset]].concat();
    let mut entries = [&[FUTURE][..], b"{async_fn_env#0}\0", &[10]].concat();
    // The number comes right after the reference to it, which counts from the start of the unit.
    let state = HEADER_BYTES + 1 + entries.len() + 5;
    entries.push(VARIANTS);
    entries.extend((state as u32).to_ne_bytes());
    entries.extend(member(b"__state\0", 9));
    for (value, name) in [(0, b"0\0"), (3, b"3\0")] {
        entries.extend([VARIANT, value]);
        entries.extend(member(name, 0));
        entries.push(END_OF_CHILDREN);
    }
    entries.extend([END_OF_CHILDREN; 2]);
    entries
}

/// Writes the units into a file, and returns what the crate finds there.
fn types_of(units: &[Vec<u8>]) -> Types {
    let sections = [(".debug_info", units.concat()), (".debug_abbrev", abbreviations())];
    let file = DebugFile::open(Box::new(elf_of(&sections))).unwrap();
    let found = scan(&file, Found::default(), &|| true);
    assert!(!found.is_broken && found.is_of_whole(&file));
    let mut types = Types::default();
    types.images.push(ImageTypes { number: 0, file, bias: 0, found });
    types
}

/// Returns all types called `name` in an image.
fn all(types: &Types, image: u16, name: &str) -> Vec<TypeId> {
    let ImageTypes { file, found, .. } = &types.images[usize::from(image)];
    let mut all = Vec::new();
    for place in found.units.iter().filter(|place| file.has_unit(place.offset)) {
        let unit = Unit::load(file, *place).unwrap();
        let context = unit.context(file).unwrap();
        let root = unit.header().unwrap().header_size() as u32;
        unit.visit(root, |depth, offset, entry| {
            if context.name(entry).as_deref() == Some(name) {
                all.push(TypeId { image, offset: place.offset + u64::from(offset) });
            }
            depth == 0 || entry.tag() == gimli::DW_TAG_namespace
        });
    }
    all
}

fn find(types: &Types, name: &str) -> TypeId {
    *all(types, 0, name).first().expect(name)
}

fn future_whose_tag_is_in_another_unit(tag_bytes: Option<u8>) -> Types {
    types_of(&[unit_of(&number(tag_bytes)), unit_of(&future(HEADER_BYTES as u32 + 1))])
}

/// With optimization across crates, the compiler describes a number in one unit for all.
#[test]
fn a_tag_may_have_its_type_from_another_unit() {
    let mut types = future_whose_tag_is_in_another_unit(Some(1));
    let future = types.get(find(&types, "{async_fn_env#0}")).unwrap();
    let Shape::Choice { tag, variants } = &future.shape else { panic!("{future:?}") };
    assert!(matches!(tag, Some(Tag { offset: 9, bytes: 1 })), "{future:?}");
    let tags: Vec<_> = variants.iter().map(|variant| variant.tag).collect();
    assert_eq!(tags, [Some(0), Some(3)]);
}

/// The first state is the one in which a future has not run yet. It must not be shown of a future of which that is not known.
#[test]
fn without_a_tag_it_is_not_known_which_variant_a_value_is() {
    let mut types = future_whose_tag_is_in_another_unit(None);
    let future = types.get(find(&types, "{async_fn_env#0}")).unwrap();
    assert!(matches!(future.shape, Shape::Other), "{future:?}");
}

/// Its two futures are in modules of their own, which the compiler makes units of.
const PROGRAM: &str = "
mod leaves {
    pub async fn leaf() {
        std::future::pending::<()>().await // leaf
    }
}
mod roots {
    pub async fn root() {
        crate::leaves::leaf().await // root
    }
}
fn main() {
    let boxed: std::pin::Pin<Box<dyn Future<Output = ()>>> = Box::pin(roots::root());
    drop(std::hint::black_box(boxed));
}
";

/// Returns the types of a program whose debug information is in a package, and its file.
fn types_in_package(version: &str) -> (Types, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("app.rs"), folder.path().join("app"));
    std::fs::write(&source, PROGRAM).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let flags = ["--edition=2024", "-Cdebuginfo=2", "-Csplit-debuginfo=packed", "-Ccodegen-units=8"];
    let mut command = std::process::Command::new(rustc);
    command.args(flags).arg(format!("-Cdwarf-version={version}")).arg("-o").args([&program, &source]);
    assert!(command.status().unwrap().success());
    let bytes = std::fs::read(&program).unwrap();
    let package: Box<dyn ReadAt> = Box::new(std::fs::read(program.with_extension("dwp")).unwrap());
    let main = DebugFile::open(Box::new(bytes.clone())).unwrap();
    let skeletons = scan(&main, Found::default(), &|| true).skeletons;
    let file = DebugFile::of_package(&main, package, &skeletons).unwrap();
    assert!(skeletons.len() > 1 && file.packed_units() == skeletons.len(), "{skeletons:?}");
    let found = scan(&file, Found::default(), &|| true);
    assert!(!found.is_broken && found.is_of_whole(&file));
    (Types::of(vec![ImageTypes { number: 0, file, bias: 0, found }]), bytes)
}

#[test]
fn units_of_a_package_are_read_with_what_their_skeletons_have() {
    for version in ["4", "5"] {
        let (mut types, program) = types_in_package(version);
        let program = object::File::parse(&program[..]).unwrap();
        let mut seen = Vec::new();
        for id in all(&types, 0, "{async_fn_env#0}") {
            let future = types.get(id).unwrap();
            let Shape::Choice { variants, .. } = &future.shape else { continue };
            let function = types.function(&future);
            let place =
                variants.iter().find(|variant| variant.tag == Some(3)).unwrap().place.clone().unwrap();
            let line = PROGRAM.lines().nth(place.line as usize - 1).unwrap();
            assert!(place.file.ends_with("app.rs"), "{place:?}");
            // The code is where the symbol table has it.
            let is_it = |symbol: &object::Symbol<'_, '_>| Some(symbol.address()) == function.code;
            let symbol = program.symbols().find(is_it).expect("it has code of its own");
            let symbol = rustc_demangle::demangle(symbol.name().unwrap()).to_string();
            assert!(symbol.starts_with(&*function.name), "{symbol}, {}", function.name);
            seen.push((function.name.to_string(), line.split("// ").nth(1).unwrap_or_default().to_owned()));
        }
        seen.sort();
        seen.dedup();
        let expected = [("app::leaves::leaf", "leaf"), ("app::roots::root", "root")];
        assert_eq!(seen, expected.map(|(name, line)| (name.to_owned(), line.to_owned())));
        // The table by which the box is polled is where the program's data are.
        let tables = types.images[0].found.method_tables.clone();
        let of_root = tables.iter().find_map(|&(address, offset)| {
            let id = types.implementor(TypeId { image: 0, offset })?;
            let type_ = types.get(id)?;
            (&*types.name(&type_) == "app::roots::root::{async_fn_env#0}").then_some(address)
        });
        let section = program.sections().find(|section| section.name() == Ok(".data.rel.ro")).unwrap();
        let data = section.address()..section.address() + section.size();
        assert!(data.contains(&of_root.expect("it has a table")), "{of_root:x?} {data:x?}");
    }
}
