"""This has Parca find pods by the rules of docs/fleet, of the manifest and of the chart's values. In the place of the cluster's list of pods is a list
of targets with the labels that Parca's discovery of pods gives them."""

import re
import textwrap

from parca import ROOT
from pods import TOKEN

META = "__meta_kubernetes_pod"
WANTED = {"namespace": "shop", "pod": "your-program-1", "app": "your-program", "version": "v1"}


def target(port, scrape, port_name):
    """Returns a pod of the list: its labels are those of discovery with the role `pod`."""
    labels = {
        "__meta_kubernetes_namespace": WANTED["namespace"],
        f"{META}_name": WANTED["pod"],
        f"{META}_ip": "127.0.0.1",
        f"{META}_container_port_name": port_name,
        f"{META}_label_app_kubernetes_io_name": WANTED["app"],
        f"{META}_label_app_kubernetes_io_version": WANTED["version"],
        f"{META}_annotation_profiles_grafana_com_memory_scrape": scrape,
        f"{META}_annotation_profiles_grafana_com_memory_port": str(port),
    }
    listed = "".join(f"          {name}: '{value}'\n" for name, value in labels.items())
    return f"      - targets: ['10.0.0.1:80']\n        labels:\n{listed}"


def of_manifest(folder):
    """Returns the configuration in the manifest, with a file that has the token."""
    manifest = (ROOT / "docs/fleet/kubernetes-parca.yaml").read_text()
    config = textwrap.dedent(re.search(r"  parca.yaml: \|\n(.*?)^---", manifest, re.S | re.M)[1])
    (folder / "token").write_text(TOKEN)
    return replaced(config, ("/var/lib/parca", f"{folder}/store"), ("/run/secrets/pprof/token", f"{folder}/token"))


def of_values(folder):
    """Returns the configuration that the chart makes of its values."""
    values = (ROOT / "docs/fleet/values-parca.yaml").read_text()
    head, scrapes = re.search(r"  config:\n(.*?)^  scrapeConfigs:\n(.*)", values, re.S | re.M).groups()
    config = textwrap.dedent(head) + "scrape_configs:\n" + textwrap.indent(textwrap.dedent(scrapes), "  ")
    return replaced(config, ("./parca", f"{folder}/store"), ("replace-this-with-the-token", TOKEN))


def replaced(config, *pairs):
    for old, new in pairs:
        assert old in config, f"the configuration has no {old!r}"
        config = config.replace(old, new)
    return config


def configuration(config, port):
    """Returns this configuration with that list, and with little time between scrapes."""
    pods = target(port, "true", "pprof") + target(port, "true", "http") + target(port, "false", "pprof")
    discovery = r"    kubernetes_sd_configs:\n.*?(?=    relabel_configs:)"
    config, changed = re.subn(discovery, "    static_configs:\n" + pods, config, flags=re.S)
    assert changed == 1, "there is one discovery of pods"
    return replaced(config, ("60s", "5s"))


def wrong_targets(parca, port):
    """Returns what is wrong with Parca's targets: of three pods it should take one, with its three profiles."""
    targets = list(parca.targets())
    kinds = sorted(labels.get("__name__", "") for labels, _, _ in targets)
    wrong = [labels for labels, health, _ in targets if health != "HEALTH_GOOD"]
    expected = WANTED | {"instance": f"127.0.0.1:{port}"}
    wrong += [labels for labels, _, _ in targets if not labels.items() >= expected.items()]
    return wrong or ([] if len(kinds) == 3 else [f"{len(kinds)} targets instead of 3: {kinds}"])
