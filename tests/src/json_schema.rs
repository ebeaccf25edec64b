//! The JSON of `causewayctl` and `causeway-vm` against their schemas: as much of JSON Schema (2020-12) as those files use.
//!
//! An object has no members that its schema does not name, so that nothing is printed which is not documented.

use std::sync::OnceLock;

use serde_json::Value;

const FILE: &str = include_str!("../../tools/causewayctl/schema.json");
const VM_FILE: &str = include_str!("../../tools/causeway-vm/schema.json");

/// The keywords that have a meaning here; a schema with another is an error.
const KEYWORDS: [&str; 11] = [
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "items",
    "oneOf",
    "properties",
    "required",
    "title",
    "type",
];

/// The whole file.
///
/// # Panics
///
/// If it is no JSON.
pub fn schemas() -> &'static Value {
    static SCHEMAS: OnceLock<Value> = OnceLock::new();
    SCHEMAS.get_or_init(|| serde_json::from_str(FILE).expect("schema.json"))
}

/// The whole file of `causeway-vm`.
///
/// # Panics
///
/// If it is no JSON.
fn vm_schemas() -> &'static Value {
    static SCHEMAS: OnceLock<Value> = OnceLock::new();
    SCHEMAS.get_or_init(|| serde_json::from_str(VM_FILE).expect("schema.json"))
}

/// Checks `value` of `causewayctl` against the definition `name`.
///
/// # Errors
///
/// Where in the value, and what is wrong.
pub fn check(name: &str, value: &Value) -> Result<(), String> {
    check_in(schemas(), name, value)
}

/// Checks `value` of `causeway-vm` against the definition `name`.
///
/// # Errors
///
/// Where in the value, and what is wrong.
pub fn check_vm(name: &str, value: &Value) -> Result<(), String> {
    check_in(vm_schemas(), name, value)
}

fn check_in(schemas: &Value, name: &str, value: &Value) -> Result<(), String> {
    check_at(schemas, &format!("${name}"), definition(schemas, name)?, value)
}

fn definition<'a>(schemas: &'a Value, name: &str) -> Result<&'a Value, String> {
    schemas["$defs"].get(name).ok_or_else(|| format!("no definition {name}"))
}

fn check_at(schemas: &Value, at: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return Err(format!("{at}: the schema is no object"));
    };
    if let Some(unknown) = keywords.keys().find(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
        return Err(format!("{at}: unknown keyword {unknown}"));
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").ok_or("a reference elsewhere")?;
        return check_at(schemas, at, definition(schemas, name)?, value);
    }
    if let Some(choices) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        let results: Vec<_> =
            choices.iter().map(|choice| check_at(schemas, at, choice, value)).collect();
        if results.iter().all(Result::is_err) {
            return Err(format!("{at}: {value} is none of its choices: {results:?}"));
        }
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{at}: {value} is none of {values:?}"));
    }
    check_type(at, &schema["type"], value)?;
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, item) in values.iter().enumerate() {
            check_at(schemas, &format!("{at}[{index}]"), items, item)?;
        }
    }
    check_members(schemas, at, schema, value)
}

fn check_type(at: &str, wanted: &Value, value: &Value) -> Result<(), String> {
    let has = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    };
    let fits = match wanted {
        Value::Null => true,
        Value::String(name) => has(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(has),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{at}: {value} is no {wanted}")) }
}

fn check_members(schemas: &Value, at: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object())
    else {
        return Ok(());
    };
    for (name, member) in members {
        let property =
            properties.get(name).ok_or_else(|| format!("{at}: the schema has no member {name}"))?;
        check_at(schemas, &format!("{at}.{name}"), property, member)?;
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Err(format!("{at}: no member {name}"));
        }
    }
    Ok(())
}
