//! The API's description, made from the calls themselves.

use dvp_model::wire::api::{Call, Method};
use serde_json::{Value, json};

/// What one call contributes.
pub(super) struct Operation {
    method: Method,
    path: &'static str,
    about: &'static str,
    name: &'static str,
}

impl Operation {
    pub(super) fn of<C: Call>() -> Self {
        let name = std::any::type_name::<C>();
        let name = name.rsplit("::").next().unwrap_or(name);
        Self { method: C::METHOD, path: C::PATH, about: C::ABOUT, name }
    }
}

/// OpenAPI 3.1: paths, what they do, and the form of errors.
pub(super) fn describe(operations: &[Operation]) -> Value {
    let mut paths = serde_json::Map::new();
    for operation in operations {
        let mut entry = json!({
            "operationId": operation.name,
            "summary": operation.about,
            "responses": {
                "200": { "description": "done", "content": { "application/json": {} } },
                "default": {
                    "description": "all that is wrong",
                    "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Errors" }
                    } }
                }
            }
        });
        if operation.path.contains("{id}") {
            entry["parameters"] = json!([{
                "name": "id", "in": "path", "required": true,
                "schema": { "type": "string", "format": "uuid" }
            }]);
        }
        let method = match operation.method {
            Method::Get => "get",
            Method::Post => {
                entry["requestBody"] = json!({ "content": { "application/json": {} } });
                "post"
            }
        };
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[method] = entry;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "DVP", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": {
            "Errors": {
                "type": "object", "required": ["errors"],
                "properties": { "errors": {
                    "type": "array", "items": { "$ref": "#/components/schemas/Reason" }
                } }
            },
            "Reason": {
                "type": "object", "required": ["kind", "text"],
                "properties": {
                    "kind": { "type": "string", "enum": [
                        "spec", "not_found", "input", "output", "conflict", "job", "machine", "bug"
                    ] },
                    "text": { "type": "string" }
                }
            }
        } }
    })
}
