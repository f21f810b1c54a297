"""The chart, rendered by Helm itself: with its own values it is the kustomize base, and others do what they say."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

import zkrpc
from tests.deploy.pods import Document, check_command, check_grace, parse, serving
from tests.support.kubernetes_tools import run_tool
from tests.support.programs import ROOT
from zkrpc.cli.serve import serve
from zkrpc.cli.settings import options_of

CHART = ROOT / "deploy" / "helm"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
SET_BY_THE_CHART = {"bind", "advertise", "id", "zone", "zookeeper", "admin", "admin-token-file"}
OF_NO_USE = {"reload"}  # the files of an image do not change
SECRET = {"zookeeper-security"}  # a file of a Secret, which extraEnv names beside what mounts it
EVERYTHING_ELSE = """
image: {tag: "1.10", pullPolicy: Always, pullSecrets: [{name: registry}]}
services:
  users: null
  ledger:
    replicas: 0
    zone: ""
    antiAffinity: required
    resources: {limits: {memory: 1Gi}}
    metrics: {enabled: false}
  inventory:
    target: inventory.service:service
    port: 7000
    settings: {workers: 2, linger: 0.5, drain-timeout: 120}
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]
    topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
    podAnnotations: {prometheus.io/path: /elsewhere, team: depot}
    extraEnv: [{name: STORE, value: "postgres://store"}]
    volumes: [{name: more, emptyDir: {}}]
    volumeMounts: [{name: more, mountPath: /more}]
defaults:
  maxUnavailable: 20%
  antiAffinity: preferred
  nodeSelector: {pool: services}
  tolerations: [{key: pool, operator: Exists}]
  priorityClassName: services
  podLabels: {tier: back}
  securityContext: {readOnlyRootFilesystem: true}
  extraEnv: [{name: REGION, valueFrom: {configMapKeyRef: {name: region, key: name}}}]
  metrics: {enabled: true, tokenSecret: {name: admin-token}}
serviceAccount: {create: true, annotations: {team: depot}}
zookeeper: {enabled: false, hosts: "zk1:2181,zk2:2181", chroot: ""}
"""
BIGGER_ENSEMBLE = "zookeeper: {replicas: 5, storage: 20Gi, storageClassName: fast, antiAffinity: required}"


def render(values: str = "") -> list[Document]:
    """What comes out of the chart as the release ``shop``."""
    told = run_tool("helm", "template", "shop", str(CHART), "--values", "-", given=values)
    assert told.returncode == 0, told.stderr
    return parse(told.stdout)


def refusal(values: str) -> str:
    """Why Helm does not render the chart with these values."""
    told = run_tool("helm", "template", "shop", str(CHART), "--values", "-", given=values)
    assert told.returncode != 0
    return told.stderr


def by_name(objects: list[Document]) -> dict[tuple[str, str], Document]:
    """The objects by kind and name."""
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects)
    return found


def pod_of(objects: list[Document], name: str) -> tuple[Document, Document]:
    """The pod of a service and its container."""
    (found,) = ((pod, container) for pod, container in serving(objects) if container["name"] == name)
    return found


def test_chart_with_its_own_values_is_the_base() -> None:
    """Object by object and field by field, as kustomize builds the base: they cannot drift apart. Names do not have the
    release's in front: they are those of the services, which there is one of in a namespace."""
    built = run_tool("kubectl", "kustomize", str(ROOT / "deploy" / "kubernetes"))
    assert built.returncode == 0, built.stderr
    assert by_name(render()) == by_name(parse(built.stdout))


@pytest.mark.parametrize("version", ["1.27", "1.33"])
@pytest.mark.parametrize("values", ["", EVERYTHING_ELSE, BIGGER_ENSEMBLE], ids=["own", "others", "bigger ensemble"])
def test_objects_obey_the_schemas_of_kubernetes(values: str, version: str) -> None:
    """Strictly, whatever the values."""
    for one in render(values):
        kubernetes_validate.validate(one, version, strict=True)


def test_helm_finds_nothing_to_complain_of() -> None:
    """By its own lint, strictly."""
    told = run_tool("helm", "lint", "--strict", str(CHART))
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_setting_of_serve_reaches_it() -> None:
    """By its variable: large numbers without an exponent, switches, limits as a table."""
    given = {
        "workers": 2,
        "traces": "otlp://collector:4318",
        "weight": 2.5,
        "session-timeout": 15,
        "linger": 0.25,
        "drain-timeout": 120,
        "slow-call": 0.5,
        "allow-breaking": True,
        "max-memory": "400M",
        "max-calls": 12_000_000,
        "max-age": 86_400,
        "join": ["serverset:/aurora/role/prod/job", "curator:/discovery/users"],
        "limit": {"max_elements": 20_000_000, "accept_zlib": True},
        "tls-cert": "/etc/tls/tls.crt",
        "tls-key": "/etc/tls/tls.key",
        "tls-ca": "/etc/tls/ca.crt",
        "tls-crl": "/etc/tls/ca.crl",
        "tls-client": "required",
        "verbose": 2,
        "log-level": "warning",
        "log-format": "json",
    }
    assert given.keys() == SCHEMA["definitions"]["settings"]["properties"].keys()
    pod, container = pod_of(render(yaml.safe_dump({"defaults": {"settings": given}})), "users")
    variables = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("ZKRPC_")}
    assert len(variables) == len(given)
    options = options_of(serve)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        understood = serve.make_context("serve", [*container["command"][2:], *container["args"]]).params
    told = {name: understood[str(options[name].name)] for name in given}
    limits = ("accept_zlib=true", "max_elements=20000000")
    assert told == {**given, "max-memory": 400 * 1024 * 1024, "limit": limits, "join": tuple(given["join"])}
    check_grace(pod, container, linger=0.25, drain_timeout=120)


def test_other_values_do_what_they_say() -> None:
    """All at once: an ensemble that is there already, a service of one's own, placement, metrics, an account."""
    objects = by_name(render(EVERYTHING_ELSE))
    assert {name for _, name in objects} == {"ledger", "inventory", "shop"}
    assert objects["ServiceAccount", "shop"]["automountServiceAccountToken"] is False
    assert objects["PodDisruptionBudget", "inventory"]["spec"]["maxUnavailable"] == "20%"
    pod, container = pod_of(list(objects.values()), "inventory")
    check_command(container)
    check_grace(pod, container, linger=0.5, drain_timeout=120)
    assert container["image"] == "zkrpc:1.10" and container["imagePullPolicy"] == "Always"
    assert container["command"] == ["zkrpc", "serve", "inventory.service:service"]
    assert container["args"][:3] == [
        "--zookeeper=zk1:2181,zk2:2181",
        "--bind=0.0.0.0:7000",
        "--advertise=$(POD_IP):7000",
    ]
    for probe in ("readinessProbe", "livenessProbe"):  # one address for each worker
        assert container[probe]["exec"]["command"][2:6] == [
            "--address",
            "127.0.0.1:7000",
            "--address",
            "127.0.0.1:7001",
        ]
    assert [one["name"] for one in container["env"]][-2:] == ["REGION", "STORE"]
    assert [one["name"] for one in pod["volumes"]] == ["data", "more", "admin-token"]
    assert container["resources"] == VALUES["defaults"]["resources"]
    assert pod["serviceAccountName"] == "shop" and pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["nodeSelector"] == {"pool": "services"} and pod["priorityClassName"] == "services"
    assert pod["affinity"].keys() == {"nodeAffinity", "podAntiAffinity"}
    selector = {"matchLabels": {"app.kubernetes.io/name": "inventory"}}
    assert pod["topologySpreadConstraints"][0]["labelSelector"] == selector
    metadata = objects["Deployment", "inventory"]["spec"]["template"]["metadata"]
    assert metadata["labels"] == {"app.kubernetes.io/name": "inventory", "tier": "back"}
    assert metadata["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9464",
        "prometheus.io/path": "/elsewhere",
        "team": "depot",
    }


def test_example_in_the_documentation_is_rendered() -> None:
    """As the page says: its own service in place of the examples, and no ensemble."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (values,) = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    objects = by_name(render(values))
    assert objects.keys() == {("Deployment", "inventory"), ("PodDisruptionBudget", "inventory")}
    ((pod, container),) = serving(list(objects.values()))
    check_command(container)
    check_grace(pod, container, drain_timeout=60)


def test_service_wins_over_the_defaults() -> None:
    """Also with false, 0 and nothing at all; and what it does not say of a map stays."""
    objects = by_name(render(EVERYTHING_ELSE))
    workload = objects["StatefulSet", "ledger"]["spec"]
    pod, container = pod_of(list(objects.values()), "ledger")
    assert workload["replicas"] == 0 and "annotations" not in workload["template"]["metadata"]
    assert not [one for one in container["args"] if one.startswith(("--zone", "--admin"))]
    resources = {"requests": VALUES["defaults"]["resources"]["requests"], "limits": {"memory": "1Gi"}}
    assert container["resources"] == resources
    assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["podAntiAffinity"]
    assert [one["name"] for one in container["env"]][-2:] == ["REGION", "LEDGER_DATABASE"]


def test_bigger_ensemble_knows_itself_and_is_known() -> None:
    """Five servers are in each one's configuration and in every connect string."""
    objects = by_name(render(BIGGER_ENSEMBLE))
    zookeeper = objects["StatefulSet", "zookeeper"]["spec"]
    (server,) = zookeeper["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in server["env"]}["ZOO_SERVERS"].split()
    assert told == [f"server.{n + 1}=zookeeper-{n}.zookeeper:2888:3888;2181" for n in range(5)]
    assert zookeeper["replicas"] == 5
    (claim,) = zookeeper["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    _, container = pod_of(list(objects.values()), "users")
    hosts = ",".join(f"zookeeper-{n}.zookeeper:2181" for n in range(5))
    assert container["args"][0] == f"--zookeeper={hosts}/prod"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("zookeeper: {enabled: false}", "say where ZooKeeper is with zookeeper.hosts=host:port,host:port"),
        ('zookeeper: {hosts: "zk1:2181"}', "set zookeeper.enabled=false with it, or leave it out"),
        ("defaults: {metrics: {enabled: true}}", "metrics of ledger: the admin door wants a token"),
        ("services: {users: {replica: 4}}", "replica"),
        ("services: {stock: {replicas: 4}}", "target"),
    ],
)
def test_values_that_make_no_sense_are_refused_in_words(values: str, why: str) -> None:
    """Before anything reaches a cluster."""
    assert why in refusal(values)


def refuses(values: Any) -> bool:
    """Whether the schema does, which Helm goes by."""
    return not jsonschema.Draft7Validator(SCHEMA).is_valid(values)


def test_schema_knows_every_value_and_no_other() -> None:
    """The chart's own values are all that it may be given, but for what is a matter of Kubernetes or of the service."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert not refuses(VALUES)
    definitions = SCHEMA["definitions"]
    properties = SCHEMA["properties"]
    assert properties.keys() == VALUES.keys() | {"global"}  # Helm's own, where the chart is a part of another
    for part in ("image", "serviceAccount", "zookeeper"):
        assert properties[part]["properties"].keys() == VALUES[part].keys()
    defaults = definitions["defaults"]["properties"]
    assert defaults.keys() == VALUES["defaults"].keys()
    own = definitions["service"]["properties"]
    assert own.items() >= defaults.items() and own.keys() - defaults.keys() == {"target", "primary"}
    assert definitions["metrics"]["properties"].keys() == VALUES["defaults"]["metrics"].keys()
    settings = definitions["settings"]["properties"].keys()
    assert settings == options_of(serve).keys() - SET_BY_THE_CHART - OF_NO_USE - SECRET


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("image",),
        ("services", "users"),
        ("defaults",),
        ("defaults", "settings"),
        ("defaults", "resources"),
        ("defaults", "readinessProbe"),
        ("defaults", "metrics"),
        ("defaults", "metrics", "tokenSecret"),
        ("serviceAccount",),
        ("zookeeper",),
        ("zookeeper", "resources"),
    ],
    ids=".".join,
)
def test_misspelt_value_is_refused(place: tuple[str, ...]) -> None:
    """Wherever it stands."""
    values = copy.deepcopy(VALUES)
    inner = values
    for name in place:
        inner = inner[name]
    inner["replcias"] = 3
    assert refuses(values)


def test_chart_is_of_this_version() -> None:
    """What it installs is what is in the repository."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == zkrpc.__version__
