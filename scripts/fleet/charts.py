"""This checks what a chart made of our values: that the configuration in it is ours, and that its parts fit together.

Usage: charts.py VALUES MANIFEST. It needs PyYAML, which kubernetes-validate brings. `scripts/check-fleet-files.sh` renders the manifest and calls
it.
"""

import pathlib
import sys

import yaml

# By the name of a container: the key in its ConfigMap, how it is told to read that, and the configuration in our values.
READ_BY = {
    "alloy": ("config.alloy", "run {}", lambda values: values["alloy"]["configMap"]["content"]),
    "opentelemetry-collector": ("relay", "--config={}", lambda values: values["alternateConfig"]),
    "parca-server": (
        "parca.yaml",
        "--config-path={}",
        lambda values: values["server"]["config"] | {"scrape_configs": values["server"]["scrapeConfigs"]},
    ),
}


def only(manifest, kind):
    found = [one for one in manifest if one["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind} in the manifest"
    return found[0]


def mounted(spec, container):
    """Returns the volumes of a container, each with the folder that it is mounted at."""
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return [(mount["mountPath"], volumes[mount["name"]]) for mount in container["volumeMounts"]]


def check_configuration(values, manifest, spec, container):
    key, told, of_values = READ_BY[container["name"]]
    ((folder, volume),) = [(at, one) for at, one in mounted(spec, container) if "configMap" in one]
    config_map = only(manifest, "ConfigMap")
    assert volume["configMap"]["name"] == config_map["metadata"]["name"], "another ConfigMap is mounted"
    names = {item["key"]: item["path"] for item in volume["configMap"].get("items", [])}
    command = " ".join(container.get("command", []) + container["args"])
    file = told.format(f"{folder}/{names.get(key, key)}")
    assert file in command, f"the program is told {command!r} and not {file!r}"
    ours, text = of_values(values), config_map["data"][key]
    is_ours = text.strip() == ours.strip() if isinstance(ours, str) else yaml.safe_load(text) == ours
    assert is_ours, f"the configuration is another one than that of the values: {text}"
    return text


def check_token(text, spec, container):
    """The token's file, or its variable, is there where the configuration names one."""
    secrets = [at for at, volume in mounted(spec, container) if volume.get("secret", {}).get("secretName") == "pprof-token"]
    variables = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef") for one in container.get("env") or []}
    if "credentials_file" in text:
        assert [at for at in secrets if f'credentials_file = "{at}/token"' in text], f"no token's file in {secrets}"
    elif "${env:PPROF_TOKEN}" in text:
        assert variables["PPROF_TOKEN"] == {"name": "pprof-token", "key": "token"}, f"no token: {variables}"
    else:
        assert "credentials: " in text, "the configuration has no token"


def check_account(manifest, spec):
    """The account that the program runs as may list pods, and no more than that of what the cluster holds."""
    account = only(manifest, "ServiceAccount")["metadata"]["name"]
    assert spec["serviceAccountName"] == account, f"the program runs as {spec['serviceAccountName']}"
    for binding in [one for one in manifest if one["kind"] == "ClusterRoleBinding"]:
        assert [subject["name"] for subject in binding["subjects"]] == [account], f"{binding['subjects']}"
        assert binding["roleRef"]["name"] in [one["metadata"]["name"] for one in manifest if one["kind"] == "ClusterRole"]
    rules = [rule for one in manifest if one["kind"] == "ClusterRole" for rule in one["rules"]]
    lists_pods = [rule for rule in rules if "pods" in rule.get("resources", []) and {"list", "watch"} <= set(rule["verbs"])]
    assert lists_pods, f"pods may not be listed: {rules}"
    assert not [rule for rule in rules if "secrets" in rule.get("resources", [])], f"secrets may be read: {rules}"


def check_ports(manifest, spec, container, text):
    """Services and probes lead to ports where the program listens."""
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    # Parca listens at 7070 if it is not told anything else.
    told = " ".join([*container["args"], text, ":7070" if container["name"] == "parca-server" else ""])
    for probe in (container.get("readinessProbe"), container.get("livenessProbe")):
        if probe and "httpGet" in probe:
            port = probe["httpGet"]["port"]
            assert f":{ports.get(port, port)}" in told or ports.get(port, port) in ports.values(), f"nobody answers probes at {port}"
    (labels,) = [one["spec"]["template"]["metadata"]["labels"] for one in manifest if one["kind"] == "Deployment"]
    for service in [one["spec"] for one in manifest if one["kind"] == "Service"]:
        assert service["selector"].items() <= labels.items(), f"the service chooses other pods: {service['selector']}"
        for port in service["ports"]:
            target = port["targetPort"]
            assert ports.get(target, target) in ports.values(), f"the service leads to no port: {port}"
            assert f":{ports.get(target, target)}" in told, f"nobody listens at {port}"


def check(values_file, manifest_file):
    values = yaml.safe_load(pathlib.Path(values_file).read_text())
    manifest = [one for one in yaml.safe_load_all(pathlib.Path(manifest_file).read_text()) if one]
    spec = only(manifest, "Deployment")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    text = check_configuration(values, manifest, spec, container)
    check_token(text, spec, container)
    check_account(manifest, spec)
    check_ports(manifest, spec, container, text)
    print(f"{values_file}: the chart makes {len(manifest)} parts of it, which fit together")


if __name__ == "__main__":
    check(*sys.argv[1:])
