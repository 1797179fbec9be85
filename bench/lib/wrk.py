"""wrk: a closed loop of kept connections; what came back, and whether all of it was right."""

import json
import os
import subprocess

from process import Failed, pinned

REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"bytes":%d,"us":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,"p50":%d,"p99":%d,"max":%d}\\n',
    summary.requests, summary.bytes, summary.duration, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def run(url, connections, seconds, cpus, directory):
    """Loads `url` and returns wrk's summary. An error of any kind ends the benchmark: it would be measured as speed."""
    script = os.path.join(directory, "report.lua")
    with open(script, "w") as out:
        out.write(REPORT)
    done = subprocess.run(
        pinned(cpus) + ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url],
        capture_output=True, text=True, start_new_session=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith("JSON ")), None)
    if line is None:
        raise Failed(f"wrk {url}: {done.stdout} {done.stderr}")
    summary = json.loads(line[5:])
    errors = {key: summary[key] for key in ("connect", "read", "write", "status", "timeout") if summary[key]}
    if errors or not summary["requests"]:
        raise Failed(f"wrk {url}: {errors or 'no request was answered'}")
    return summary
