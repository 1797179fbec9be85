//! Status: a pool's status page (sapi/fpm/fpm/fpm_status.c), and its workers.

use serde::Deserialize;

/// A pool's status page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Requests that wait for a worker.
    #[serde(rename = "listen queue")]
    pub waiting: u64,
    /// Most that waited at once since the start.
    #[serde(rename = "max listen queue")]
    pub waited_most: u64,
    /// How often there were no more workers to start.
    #[serde(rename = "max children reached")]
    pub limit_reached: u64,
    /// Workers at work now.
    #[serde(rename = "active processes")]
    pub active: u64,
    /// Most workers that worked at once.
    #[serde(rename = "max active processes")]
    pub active_most: u64,
    /// Workers.
    #[serde(rename = "total processes")]
    pub total: u64,
    /// Each worker.
    #[serde(rename = "processes")]
    pub workers: Vec<Worker>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its process.
    pub pid: u32,
    /// What it is at: `Idle`, `Running`, `Reading headers`, `Finishing`…
    pub state: String,
    /// Requests that it answered.
    pub requests: u64,
    /// How long its last request took, or its present one takes, in microseconds: see [`Worker::duration_us`].
    #[serde(rename = "request duration")]
    request_us: u64,
    /// Its script as the web server named it; at most 255 bytes of it.
    pub script: String,
    /// Most memory that PHP took for its last request, in bytes.
    #[serde(rename = "last request memory")]
    pub memory: u64,
}

impl Worker {
    /// How long its last request took, or its present one takes, in microseconds.
    ///
    /// A worker that was started this moment has had none yet; php-fpm then counts from the start of the machine. One
    /// whose request began after the page had taken the time shows nearly 2^64: less than nothing, without its sign.
    pub fn duration_us(&self) -> Option<u64> {
        (self.requests > 0).then(|| if i64::try_from(self.request_us).is_ok() { self.request_us } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_has_had_no_request_has_no_duration() {
        let page = r#"{"processes":[
            {"pid":7,"state":"(null)","requests":0,"request duration":11304000000},
            {"pid":8,"state":"Idle","requests":3,"request duration":1500},
            {"pid":9,"state":"Running","requests":1,"request duration":18446744073709551000}]}"#;
        let status: Status = serde_json::from_str(page).unwrap();
        let durations: Vec<_> = status.workers.iter().map(Worker::duration_us).collect();
        assert_eq!(durations, [None, Some(1500), Some(0)]);
    }
}
