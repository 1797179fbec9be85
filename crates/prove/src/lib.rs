//! Judges the deploys of any stack by evidence: scenario, load, observations, verdict.
