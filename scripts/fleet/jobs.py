"""These are the scrape jobs of the check: the configuration of the page, and four more."""

import pathlib

from parca import block
from pods import TOKEN

INTERVAL_SECONDS = 10
# What is asked of the pods of each job, by the path: the name that the scraper gives it.
OTHERS = {
    "allocs_delta": ("/debug/pprof/allocs", True),
    "delta_heap": ("/debug/pprof/delta_heap", False),
    "threadcreate": ("/debug/pprof/threadcreate", False),
    "fgprof": ("/debug/fgprof", True),
}
# The same for the program that waits, of which Parca's own `block` and `mutex` are asked too.
OF_WAITS = {kind: (f"/debug/pprof/{kind}", False) for kind in ("delta_block", "delta_mutex", "goroutineleak")}


def job(name, pods, kinds, parameters=""):
    """Returns a scrape job that asks for `kinds` and nothing else, or for what Parca asks for by default."""
    text = f"  - job_name: {name}\n    scrape_interval: {INTERVAL_SECONDS}s\n{parameters}"
    text += "    authorization: {type: Bearer, credentials_file: TOKEN}\n    static_configs:\n"
    text += "".join(f"      - targets: ['127.0.0.1:{pod.recorder.port}']\n" for pod in pods)
    if kinds is None:
        return text
    text += "    profiling_config:\n      pprof_config:\n"
    for kind in ("memory", "block", "goroutine", "mutex", "process_cpu"):
        text += f"        {kind}: {{enabled: {'true' if kind in kinds else 'false'}}}\n"
    for kind, (path, delta) in (OTHERS | OF_WAITS).items():
        if kind in kinds:
            text += f"        {kind}: {{enabled: true, path: {path}, delta: {'true' if delta else 'false'}}}\n"
    return text


def configuration(fleet, folder):
    """Returns the configuration of the page, with addresses and times of this run, and further jobs."""
    groups = "".join(
        f'      - targets: ["127.0.0.1:{pod.recorder.port}"]\n        labels: {{version: {pod.version}}}\n'
        for pod in fleet["your-program"]
    )
    config = block("object_storage:")
    for old, new in (
        ("/var/lib/parca", f"{folder}/store"),
        ("scrape_interval: 60s", f"scrape_interval: {INTERVAL_SECONDS}s"),
        ('      - targets: ["127.0.0.1:6060"]\n', groups),
    ):
        assert old in config, f"the page's configuration of Parca has no {old!r}"
        config = config.replace(old, new)
    config += job("defaults", fleet["defaults"], None)
    config += job("others", fleet["others"], OTHERS)
    config += job("waits", fleet["waits"], ["block", "mutex", *OF_WAITS])
    config += job("limited", fleet["limited"], ["memory"], "    params: {limit: ['2']}\n")
    token = pathlib.Path(folder, "pprof-token")
    token.write_text(TOKEN)
    return config.replace("/run/secrets/pprof-token", str(token)).replace("TOKEN", str(token))


def kind_of(path):
    """Returns the name that the scraper gives to what it asked for by `path`."""
    path, _, query = path.partition("?")
    if path == "/debug/pprof/allocs":
        return "allocs_delta" if "seconds=" in query else "memory"
    return {"profile": "process_cpu"}.get(path.rsplit("/", 1)[1], path.rsplit("/", 1)[1])
