"""Names what was measured on."""

import os
import platform
import re
import subprocess


def describe():
    cpu = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release().split("-")[0],
        "libc": " ".join(platform.libc_ver()),
        "rustc": output("rustc", "--version"),
        "commit": output("git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"),
        "load_before": os.getloadavg()[0],
    }


def line(machine):
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; Linux {machine['kernel']}, "
            f"{machine['libc']}; {machine['rustc']}; load {machine['load_before']:.1f} at the start")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
