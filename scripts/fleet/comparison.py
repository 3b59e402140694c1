"""This compares what Parca says with what the programs answered."""

import time

from jobs import kind_of
from pprof import Profile


def answered(pods):
    """Returns what the pods answered with status 200, by instance and kind."""
    found = {}
    for pod in pods:
        for answer in pod.recorder.taken():
            if answer.status == 200:
                key = (f"127.0.0.1:{pod.recorder.port}", kind_of(answer.path))
                found.setdefault(key, []).append(Profile(answer.body))
    return found


def compared(parca, pods, started):
    """Compares Parca's figures with the answers: for each sample type how many there are, were accepted, and are equal."""
    answers, rows = answered(pods), {}
    for kind in parca.ask("profiles/types")["types"]:
        fields = [kind[field] for field in ("name", "sampleType", "sampleUnit", "periodType", "periodUnit")]
        delta = kind.get("delta", False)
        query = ":".join(fields) + (":delta" if delta else "")
        row = rows.setdefault(query, {"profiles": 0, "accepted": 0, "equal": 0, "delta": delta})
        for (instance, name), profiles in answers.items():
            # Of the last one Parca may not have made a series yet.
            profiles = [one for one in profiles[:-1] if one.totals.get(fields[1], 0) != 0]
            if name != fields[0] or not profiles or (profiles[0].duration_nanos > 0) != delta:
                continue
            compare = compare_delta if delta else compare_snapshots
            accepted, equal = compare(parca, f'{query}{{instance="{instance}"}}', fields[1], profiles, started)
            row["profiles"] += len(profiles)
            row["accepted"] += accepted
            row["equal"] += equal
    return rows


def compare_snapshots(parca, query, sample_type, profiles, started):
    # Labels of samples are labels of series for Parca, so that a profile is in as many series as it has sets of labels.
    values = {}
    for _, at, value in parca.series(query, started, time.time_ns()):
        values[at // 10**6] = values.get(at // 10**6, 0) + value
    found = [(one, values.get(one.time_nanos // 10**6)) for one in profiles]
    accepted = sum(value is not None for _, value in found)
    return accepted, sum(value == one.totals[sample_type] for one, value in found)


def compare_delta(parca, query, sample_type, profiles, _):
    """Asks for the sum over all, which is the sum of what the program answered."""
    first, last = profiles[0].time_nanos, profiles[-1].time_nanos
    merged = parca.merged(query, first // 10**6 * 10**6, last // 10**6 * 10**6 + 10**6 - 1)
    values = {at for _, at, _ in parca.series(query, first // 10**6 * 10**6, last + 10**6)}
    # Parca shows a number of samples as the time that they stand for.
    truth = sum(one.totals[sample_type] * (one.period if sample_type == "samples" else 1) for one in profiles)
    return len(values), len(profiles) if merged == truth else 0


def lost_functions(parca, pod):
    """Returns the functions, each with its file, that Parca's own export of one profile of this pod does not have."""
    instance = f"127.0.0.1:{pod.recorder.port}"
    ours = [one for one in answered([pod])[(instance, "memory")] if one.totals["inuse_space"]][-2]
    query = f'memory:alloc_space:bytes:space:bytes{{instance="{instance}"}}'
    at = ours.time_nanos // 10**6 * 10**6
    theirs = Profile(parca.exported(query, at, at + 10**6 - 1))
    return ours.functions - theirs.functions, len(ours.functions), ours.comments, theirs.comments
