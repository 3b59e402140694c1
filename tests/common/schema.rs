//! Holds the server's answers in JSON against the schema that its documents refer to, and the page's types are made from.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Panics unless `answer` has the shape `name` of the schema, such as `Heap`: with its keys, and no others.
pub fn check_schema(name: &str, answer: &Value) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../pprof-server/schema/answers.schema.json");
    let mut schemas = Schemas::new();
    let shape =
        Compiler::new().compile(&format!("{path}#/$defs/{name}"), &mut schemas).expect("the schema has it");
    if let Err(error) = schemas.validate(answer, shape) {
        panic!("{name} is not as the schema says: {error:#}\n{answer:#}");
    }
}
