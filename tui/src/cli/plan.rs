//! `plan`: what a submission would do, without submitting.

use clap::Args;
use dvp_engine::host;
use dvp_engine::host::Role;
use dvp_engine::jobs::submit::check;
use dvp_model::path::printable;
use dvp_model::wire::api::{DryRun, DryRunReply, Errors};
use serde_json::json;

use super::submit::{What, bring};
use super::{Context, Outcome, print};
use crate::widget::words;

/// What would be done with which videos.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    what: What,
    /// Exactly so many ranks [default: as many as fit]
    #[arg(long, value_name = "N")]
    ranks: Option<u32>,
    /// The submission would replace an existing output
    #[arg(long)]
    force: bool,
}

/// `plan`: every input is planned, whatever is wrong with others.
pub(super) async fn plan(context: &Context, arguments: Arguments) -> Outcome {
    let mut submissions = arguments.what.submissions()?;
    // The sentence of a submission, before an engine fails to start a program that is not there.
    if host::running(&context.config).await?.is_none() {
        context.config.check_programs()?;
    }
    let client = context.attach(Role::Look).await?.client;
    let several = submissions.len() > 1;
    let mut code = 0;
    for (position, submission) in submissions.iter_mut().enumerate() {
        submission.ranks = arguments.ranks;
        submission.force = arguments.force;
        let checked = match context.config.connect {
            // What lies there is for the engine there to say.
            Some(_) => {
                bring(&client, submission.clone(), None).await.map(|sent| *submission = sent)
            }
            None => check(submission).map(drop),
        };
        let planned = match checked {
            Ok(()) => client.call(&DryRun(submission.clone())).await,
            Err(errors) => Err(errors),
        };
        let own = match planned {
            Ok(reply) => {
                if several && position > 0 && !context.json {
                    print::out("")?;
                }
                show(context, &submission.input, &reply)?;
                0
            }
            Err(errors) => super::report(&named(errors, several, &submission.input)),
        };
        code = if code == 0 { own } else { code };
    }
    Ok(code)
}

/// Where there are several inputs, each sentence says which one it is about.
fn named(mut errors: Errors, several: bool, input: &dvp_model::FilePath) -> Errors {
    let input = input.to_string();
    for reason in &mut errors.errors {
        if several && !reason.text.contains(&input) {
            reason.text = format!("{input}: {}", reason.text);
        }
    }
    errors
}

fn show(context: &Context, input: &dvp_model::FilePath, reply: &DryRunReply) -> Result<(), Errors> {
    let plan = &reply.plan;
    if context.json {
        let mut value = json!(plan);
        value["input"] = json!(input);
        value["output"] = json!(reply.output);
        value["chunks_total"] = json!(plan.chunks.len());
        value["parallelism"] = json!(reply.parallelism);
        value["wall_ms"] = json!(reply.wall_ms);
        print::out_json(&value)?;
        return Ok(());
    }
    let seconds = plan.duration_us as f64 / 1e6;
    let (least, most) = match (plan.chunks.iter().min(), plan.chunks.iter().max()) {
        (Some(least), Some(most)) => (*least, *most),
        _ => (0, 0),
    };
    let each = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let mut say = vec![
        ("input", input.to_string()),
        ("output", reply.output.to_string()),
        (
            "picture",
            format!(
                "{} frames, {seconds:.3} s, {}x{}, {} in {}",
                plan.frames, plan.width, plan.height, plan.codec, plan.container
            ),
        ),
        ("chunks", format!("{} of {each} frames", plan.chunks.len())),
        ("sound", if plan.sound { "yes" } else { "none" }.to_owned()),
        ("ranks", format!("{} can work at once", reply.parallelism)),
        ("memory", format!("{} a rank", words::bytes(plan.memory_per_rank))),
        ("time", format!("about {}", print::span(reply.wall_ms as i64))),
    ];
    say.extend(plan.carried.iter().map(|carried| ("carried", carried.clone())));
    say.extend(plan.notes.iter().map(|note| ("note", note.clone())));
    for (name, value) in say {
        print::out(&format!("{name:<9} {}", printable(&value)))?;
    }
    Ok(())
}
