//! The interruption before it happens (VIP-5): what clients have felt so far, and what each coming step says it will cost.

use std::time::Duration;

use anyhow::Result;
use rollup_engine::{Action, Cx, State};
use rollup_model::{Finding, NodeName, Span, StepState, plan::Target};
use serde::Deserialize;
use serde_json::json;

/// The steps whose time on the first node tells how long the second one will be away.
const AWAY: [&str; 5] = ["service.stop", "package.hook", "service.install", "service.start", "health.healthy"];

/// The interruption stays within `cluster.downtime_budget`, or an operator has accepted that it does not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {}

#[async_trait::async_trait]
impl Action for Forecast {
    async fn check(&self, cx: &Cx<'_>) -> Result<State> {
        let felt = Duration::from_millis(cx.run.meter.read.down_millis.max(cx.run.meter.write.down_millis));
        let mut total = felt;
        let mut parts = vec![format!("{} so far", seconds(felt))];
        let coming = cx.plan.steps.iter().skip_while(|step| step.id != cx.step.id).skip(1);
        for step in coming.filter(|step| cx.run.get(&step.id) != StepState::Done) {
            if let Some(forecast) = cx.forecast_of(step).await? {
                total += forecast.length;
                parts.push(format!("{} in {}: {}", seconds(forecast.length), step.id, forecast.because));
            }
        }
        let budget = cx.inventory().cluster.downtime_budget;
        let found = format!("about {} ({})", seconds(total), parts.join("; "));
        let within = total <= budget.duration();
        let evidence = json!({
            "summary": format!("about {} of {budget}", seconds(total)),
            "forecast_millis": millis(total),
            "budget": budget,
            "parts": parts,
            "without_a_second_node_millis": away(cx).map(|(_, time)| millis(time)),
        });
        if within || cx.run.downtime_accepted.is_some() {
            return Ok(State::seen(evidence));
        }
        let expected = format!("an interruption of at most {budget}");
        let fix = format!(
            "rollup resume {} --accept-downtime   # or raise cluster.downtime_budget for the next run",
            cx.plan.run
        );
        Ok(State::blocked(vec![Finding::check("cutover.forecast", "VIP-5", false, expected, found).fix(fix)]))
    }
}

/// How long the node that was upgraded first was away: the other one will be for about as long, and meanwhile nobody
/// could take over.
fn away<'a>(cx: &Cx<'a>) -> Option<(&'a NodeName, Duration)> {
    let mut found: Option<(&NodeName, u64)> = None;
    for step in cx.plan.steps.iter().take_while(|step| step.id != cx.step.id) {
        let Target::Node(node) = &step.on else { continue };
        let time = cx.run.steps.get(&step.id).and_then(|record| record.millis);
        if let Some(millis) = time.filter(|_| AWAY.contains(&step.action.uses.as_str())) {
            let sum = found.filter(|(first, _)| *first == node).map_or(0, |(_, sum)| sum);
            found = Some((node, sum + millis));
        }
    }
    found.map(|(node, millis)| (node, Duration::from_millis(millis)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tenths of a second are all that a forecast is good for.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        long => Span::secs(long).to_string(),
    }
}
