"""Readme: the essentials of a day's results, between two marks in README.md."""

BEGIN, END = "<!-- written by bench/run --save: begin -->", "<!-- end -->"


def write(readme, results, name):
    """Replaces what stands between the marks by what `results` says; `name` is the file of the day."""
    with open(readme) as text:
        before, rest = text.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(results) as text:
        told = essentials(text.read(), name)
    with open(readme, "w") as out:
        out.write(f"{before}{BEGIN}\n{told}\n{END}{after}")


def essentials(results, name):
    title, _, machine = results.split("\n## ")[0].strip().partition("\n\n")
    tables = {part.split("\n")[0]: table(part) for part in results.split("\n## ")[1:]}
    parts = [f"{title.removeprefix('# Results of ')}; {machine}  \nEverything, with each round and the commands: [{name}](bench/results/{name}).",
             verdicts(tables.get("What visitors see while releases flip", [])),
             costs(tables.get("What a request costs", [])),
             flips(tables.get("Latency around a flip of MediaWiki", [])),
             sides(tables.get("Tuned nginx against cutover", [])),
             alone(tables.get("cutover alone", []))]
    return "\n\n".join(filter(None, parts))


def table(part):
    """The rows of a Markdown table as dictionaries."""
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], cells)) for cells in lines[2:]]


def verdicts(rows):
    def cell(row):
        broken = [f"{what} {short(row[what])}" for what in ("failed", "mixed", "stale") if row[what] != "0"]
        late = f" (by up to {row['worst lateness']})" if row["worst lateness"] else ""
        return ", ".join(broken) + late if broken else f"**0** of {row['requests']}"

    def short(count):
        number, _, percent = count.partition(" (")
        return percent.rstrip(")") if percent and float(percent.split()[0]) >= 0.1 else number

    return crossed("What visitors get that is failed, mixed of two releases, or stale, while releases flip:", "server", rows, "flips", cell)


def costs(rows):
    return crossed("CPU µs per request, PHP-FPM's own included (requests per second of one core's server):", "server", rows, "request",
                   lambda row: f"{row['both'].strip('*')} ({row['req/s']})")


def crossed(lead, corner, rows, across, cell):
    """Peers down, another column across."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(row[across] for row in rows))
    lines = [f"{lead}\n", f"| {corner} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for peer in dict.fromkeys(row["peer"] for row in rows):
        found = {row[across]: cell(row) for row in rows if row["peer"] == peer}
        lines.append(f"| {peer} | " + " | ".join(found.get(column, "") for column in columns) + " |")
    return "\n".join(lines)


def flips(rows):
    return picked("The slowest page of MediaWiki before a flip, and in the second after it, PHP never having compiled the new release:", rows,
                  {"peer": "server", "slowest before": "before", "slowest in the second after": "after"})


def sides(rows):
    return picked("CPU µs per request of the web server alone, against nginx tuned for speed (open_file_cache, kept connections to PHP-FPM; not safe under flips):", rows,
                  {"case": "request", "nginx µs/req": "nginx", "cutover µs/req": "Cutover", "nginx/cutover": "nginx/Cutover", "goal": "goal"})


def alone(rows):
    return picked("", rows, {"what": "what", "measured": "measured", "goal": "goal"})


def picked(lead, rows, columns):
    if not rows:
        return ""
    lines = [f"{lead}\n"] if lead else []
    lines += ["| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row[column] for column in columns) + " |" for row in rows])
