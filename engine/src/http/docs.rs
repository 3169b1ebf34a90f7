//! The API's description as a page: `GET /docs`. Written once from the description itself; needs no script,
//! no style sheet and no font from elsewhere.

use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#8881;padding:.6rem;overflow-x:auto}\
details{border:1px solid #8884;border-radius:4px;margin:.4rem 0;padding:.3rem .7rem}\
summary{cursor:pointer}summary b{display:inline-block;min-width:3.2rem}table{border-collapse:collapse}\
td,th{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0}:target{outline:2px solid #48f}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}";

/// The page.
pub(super) fn page(description: &Value) -> String {
    let mut html = String::new();
    let (title, version) =
        (text(&description["info"]["title"]), text(&description["info"]["version"]));
    let _ = write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}: the API</title>\
         <meta name=viewport content=\"width=device-width\"><style>{STYLE}</style>\
         <h1>{title} {version}: the API</h1>\
         <p>The same for programs: <a href=/openapi.json>/openapi.json</a>. Beyond the loopback every \
         call marked &#128274; needs the header <code>Authorization: Bearer ...</code> with what \
         <code>dvp-engine token</code> prints. What is wrong comes as \
         <a href=\"#Problem\">a problem</a>.</p><h2>Calls</h2>"
    );
    for (path, operations) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            call(&mut html, method, path, operation);
        }
    }
    html.push_str("<h2>Forms</h2>");
    for (name, schema) in description["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(html, "<details id=\"{0}\"><summary><code>{0}</code>", escaped(name));
        if let Some(about) = schema["description"].as_str() {
            let _ = write!(html, " {}", escaped(about));
        }
        html.push_str("</summary>");
        form(&mut html, schema);
        html.push_str("</details>");
    }
    html.push_str("</html>");
    html
}

fn call(html: &mut String, method: &str, path: &str, operation: &Value) {
    let guarded = if operation["security"].is_array() { " &#128274;" } else { "" };
    let _ = write!(
        html,
        "<details><summary><b>{}</b> <code>{}</code> {}{guarded}</summary>",
        method.to_uppercase(),
        escaped(path),
        text(&operation["summary"])
    );
    if let Some(parameters) = operation["parameters"].as_array().filter(|all| !all.is_empty()) {
        html.push_str("<table><tr><th>parameter<th>in<th>form<th>");
        for parameter in parameters {
            let needed = if parameter["required"] == true { ", needed" } else { "" };
            let _ = write!(
                html,
                "<tr><td><code>{}</code><td>{}{needed}<td>{}<td>{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                kind(&parameter["schema"]),
                text(&parameter["description"])
            );
        }
        html.push_str("</table>");
    }
    for (media, body) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        let _ = write!(html, "<p>Takes <code>{}</code> {}", escaped(media), kind(&body["schema"]));
        if body["schema"]["properties"].is_object() {
            form(html, &body["schema"]);
        }
    }
    for (media, body) in operation["responses"]["200"]["content"].as_object().into_iter().flatten()
    {
        let _ = write!(html, "<p>Gives <code>{}</code> {}", escaped(media), kind(&body["schema"]));
    }
    let data = if operation["requestBody"].is_object() { " -d @body.json" } else { "" };
    let post =
        if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let _ = write!(
        html,
        "<pre>curl{post}{data} http://127.0.0.1:8000{}</pre></details>",
        escaped(path)
    );
}

/// The fields of a schema as a table; what has none, as it stands.
fn form(html: &mut String, schema: &Value) {
    let of_fields = schema["properties"].as_object();
    if of_fields.is_none() && schema["$ref"].is_string() {
        let _ = write!(html, "<p>{}", kind(schema));
        return;
    }
    let Some(fields) = of_fields else {
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(html, "<pre>{}</pre>", escaped(&text));
        return;
    };
    html.push_str("<table>");
    for (name, field) in fields {
        let _ = write!(
            html,
            "<tr><td><code>{}</code><td>{}<td>{}",
            escaped(name),
            kind(field),
            text(&field["description"])
        );
    }
    html.push_str("</table>");
}

/// A schema in a word or two, with links to what it names.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    for choices in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choices].as_array() {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(text).collect::<Vec<_>>().join(", ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => match schema["format"].as_str() {
            Some(format) => format!("{} ({})", escaped(name), escaped(format)),
            None => escaped(name),
        },
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => schema.get("const").map(text).unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Null => String::new(),
        other => escaped(&other.to_string()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
