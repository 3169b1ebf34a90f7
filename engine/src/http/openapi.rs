//! The API's description, made from the calls themselves: OpenAPI 3.1, its schemas those of the types that
//! are sent. Knows nothing of what a call does.

use dvp_model::wire::api::{Call, Method, Problem};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where a description keeps its schemas.
const SCHEMAS: &str = "/components/schemas";

/// Collects operations.
pub(super) struct Description {
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

/// What an operation answers when all is well.
pub(super) enum Answer {
    /// JSON of some form.
    Json(Value),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// An operation that is no [`Call`]: its request or its answer is no JSON.
pub(super) struct Plain {
    /// HTTP method, in lower case.
    pub method: &'static str,
    /// Path, with `{id}` where a job's id goes.
    pub path: &'static str,
    /// Its name for programs.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// What it answers.
    pub answer: Answer,
    /// Its parameters in the query, if it has any.
    pub query: Vec<Value>,
    /// The contents that it takes, by media type, if it takes any.
    pub body: Option<Value>,
    /// Whether a token is asked for beyond the loopback.
    pub guarded: bool,
}

impl Description {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = format!("#{SCHEMAS}").into();
            settings.meta_schema = None;
        });
        Self { paths: Map::new(), schemas: settings.into_generator() }
    }

    /// The schema of a type, as a reference.
    pub(super) fn schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    /// Adds a call.
    pub(super) fn call<C: Call>(&mut self) {
        let name = std::any::type_name::<C>();
        let name = name.rsplit("::").next().unwrap_or(name);
        let has_id = C::PATH.contains("{id}");
        let reply = self.schema::<C::Reply>();
        let mut operation = self.operation(name, C::ABOUT, &Answer::Json(reply), true);
        let mut parameters = Vec::new();
        if has_id {
            parameters.push(job_id());
        }
        match C::METHOD {
            Method::Get => {
                let call = C::json_schema(&mut self.schemas).to_value();
                parameters.extend(query(&call, has_id));
            }
            Method::Post => operation["requestBody"] = self.body::<C>(has_id),
        }
        operation["parameters"] = parameters.into();
        let method = match C::METHOD {
            Method::Get => "get",
            Method::Post => "post",
        };
        self.add(C::PATH, method, operation);
    }

    /// Adds an operation that is no call.
    pub(super) fn plain(&mut self, plain: Plain) {
        let mut operation = self.operation(plain.name, plain.about, &plain.answer, plain.guarded);
        let mut parameters = plain.query;
        if plain.path.contains("{id}") {
            parameters.insert(0, job_id());
        }
        operation["parameters"] = parameters.into();
        if let Some(body) = plain.body {
            operation["requestBody"] = json!({ "required": true, "content": body });
        }
        self.add(plain.path, plain.method, operation);
    }

    fn operation(&mut self, name: &str, about: &str, answer: &Answer, guarded: bool) -> Value {
        let content = match answer {
            Answer::Json(schema) => json!({ "application/json": { "schema": schema } }),
            Answer::Bytes(media) => json!({ *media: {} }),
        };
        let problem = self.schema::<Problem>();
        let mut operation = json!({
            "operationId": name,
            "summary": about,
            "responses": {
                "200": { "description": "done", "content": content },
                "default": {
                    "description": "all that is wrong",
                    "content": { "application/problem+json": { "schema": problem } }
                }
            }
        });
        if guarded {
            operation["security"] = json!([{ "token": [] }, {}]);
        }
        operation
    }

    /// The body of a call; the job in its path is not said again.
    fn body<C: Call>(&mut self, has_id: bool) -> Value {
        if !has_id {
            let schema = self.schema::<C>();
            return json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        let mut schema = C::json_schema(&mut self.schemas).to_value();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("id");
        }
        let mut needed = false;
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != "id");
            needed = !required.is_empty();
        }
        json!({ "required": needed, "content": { "application/json": { "schema": schema } } })
    }

    fn add(&mut self, path: &str, method: &str, operation: Value) {
        let operations = self.paths.entry(path).or_insert_with(|| json!({}));
        operations[method] = operation;
    }

    /// The whole description.
    pub(super) fn finish(mut self) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "DVP",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Distributed video processing: jobs, nodes, what happens."
            },
            "paths": self.paths,
            "components": {
                "securitySchemes": { "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "What `dvp-engine token` prints; asked for beyond the loopback."
                } },
                "schemas": self.schemas.take_definitions(true)
            }
        })
    }
}

fn job_id() -> Value {
    json!({
        "name": "id", "in": "path", "required": true, "description": "The job.",
        "schema": { "type": "string", "format": "uuid" }
    })
}

/// The fields of a call that travels in the query. In a query there is no null: what is not said is left out.
fn query(call: &Value, without_id: bool) -> Vec<Value> {
    let required: Vec<&str> =
        call["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = call["properties"].as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !(without_id && *name == "id"));
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|kind| kind != "null");
        }
        if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice["type"] != "null");
        }
        let object = schema.as_object_mut();
        let about = object.and_then(|object| {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            object.remove("description")
        });
        json!({
            "name": name, "in": "query", "required": required.contains(&name.as_str()),
            "description": about.unwrap_or_default(), "schema": schema
        })
    };
    fields.map(parameter).collect()
}
