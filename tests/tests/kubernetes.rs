//! The manifests of packaging/kubernetes: their structure always, Kubernetes' schemas where the validator can be installed,
//! and the machine of the pod with a guest as it is written there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::bus::HOST_STATE;
use tests::process::Process;
use tests::suite::Suite;
use tests::vm::{DISK_BOOTS, Vm};
use tests::{client, python, wait};

/// The versions of Kubernetes whose schemas are compared.
const VERSIONS: [&str; 2] = ["1.29.1", "1.33.1"];
const VALIDATOR: &str = "kubernetes-validate==1.33.1";

fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    root.join("packaging/kubernetes")
}

fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("the folder").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    names
}

/// The documents of a file; `None`, with a line that says so, where nothing here reads YAML.
fn documents(name: &str) -> Option<Vec<Value>> {
    let script = "import json, sys, yaml\n\
                  print(json.dumps([d for d in yaml.safe_load_all(open(sys.argv[1])) if d]))";
    let path = folder().join(name);
    let output = client::run(Command::new("/usr/bin/python3").args(["-c", script]).arg(path));
    if output.stderr.contains("No module named 'yaml'") {
        eprintln!("skipped: no python3-yaml");
        return None;
    }
    Some(serde_json::from_str(output.ok()).expect("JSON"))
}

/// All objects, those of the guest's pod included.
fn objects() -> Option<Vec<Value>> {
    let names = files().into_iter().filter(|name| name != "kustomization.yaml");
    let documents: Option<Vec<_>> = names.map(|name| documents(&name)).collect();
    Some(documents?.concat())
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The pods: of the template, and the one with a guest.
fn pods(objects: &[Value]) -> Vec<&Value> {
    let templates = of_kind(objects, "StatefulSet").map(|set| &set["spec"]["template"]);
    templates.chain(of_kind(objects, "Pod")).collect()
}

#[test]
fn every_file_is_applied_and_every_object_is_in_the_namespace() {
    let (Some(objects), Some(kustomization)) = (objects(), documents("kustomization.yaml")) else {
        return;
    };
    let applied: Vec<&str> = list(&kustomization[0]["resources"]).iter().map(text).collect();
    let separate = ["guest.yaml", "kustomization.yaml"];
    let files = files();
    let mut expected: Vec<&str> = files.iter().map(String::as_str).collect();
    expected.retain(|name| !separate.contains(name));
    let sorted: BTreeSet<&str> = applied.iter().copied().collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), expected);
    for object in &objects {
        assert!(
            !text(&object["apiVersion"]).is_empty()
                && !text(&object["metadata"]["name"]).is_empty()
        );
        let namespace = match text(&object["kind"]) {
            "Namespace" => &object["metadata"]["name"],
            _ => &object["metadata"]["namespace"],
        };
        assert_eq!(*namespace, kustomization[0]["namespace"], "{object}");
    }
}

#[test]
fn there_is_one_service_without_an_address() {
    let Some(objects) = objects() else { return };
    let services: Vec<_> = of_kind(&objects, "Service").collect();
    assert_eq!(services.len(), 1, "never one for each BMC");
    assert_eq!(services[0]["spec"]["clusterIP"], "None");
    let sets: Vec<_> = of_kind(&objects, "StatefulSet").collect();
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["spec"]["serviceName"], services[0]["metadata"]["name"]);
    let labels = &sets[0]["spec"]["template"]["metadata"]["labels"];
    for selector in [&sets[0]["spec"]["selector"]["matchLabels"], &services[0]["spec"]["selector"]]
    {
        for (key, value) in selector.as_object().expect("labels") {
            assert_eq!(labels[key], *value);
        }
    }
}

#[test]
fn pods_need_no_privilege_and_ask_for_what_they_use() {
    let Some(objects) = objects() else { return };
    for pod in pods(&objects) {
        let spec = &pod["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(spec["automountServiceAccountToken"], false);
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec[key].is_null(), "{key}");
        }
        for container in list(&spec["containers"]) {
            let (name, context) = (&container["name"], &container["securityContext"]);
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
            let resources = &container["resources"];
            for amount in [
                &resources["requests"]["cpu"],
                &resources["requests"]["memory"],
                &resources["limits"]["memory"],
            ] {
                assert!(amount.is_string(), "{name}: {resources}");
            }
        }
    }
}

#[test]
fn what_is_mounted_exists_and_each_bmc_has_one_volume_for_its_state() {
    let Some(objects) = objects() else { return };
    let claims: Vec<&Value> = of_kind(&objects, "StatefulSet")
        .flat_map(|set| list(&set["spec"]["volumeClaimTemplates"]))
        .map(|claim| &claim["metadata"]["name"])
        .collect();
    for pod in pods(&objects) {
        let volumes = list(&pod["spec"]["volumes"]);
        let names: Vec<_> = volumes.iter().map(|volume| &volume["name"]).collect();
        for container in list(&pod["spec"]["containers"]) {
            let mounts = list(&container["volumeMounts"]);
            for mount in mounts {
                let name = &mount["name"];
                assert!(names.contains(&name) || claims.contains(&name), "no volume {name}");
            }
            let writable = mounts.iter().filter(|mount| mount["readOnly"] != true);
            let writable: Vec<_> = writable.map(|mount| text(&mount["mountPath"])).collect();
            let expected: &[&str] = match text(&container["name"]) {
                "bmcs" => &["/var/lib/causeway"],
                "bmc" => &["/run/guest", "/var/lib/causeway"],
                "kcs" => &["/run/guest"],
                "qemu" => &["/run/guest", "/disks"],
                _ => &[],
            };
            assert_eq!(writable, expected, "{}", container["name"]);
        }
        for volume in volumes.iter().filter(|volume| volume["configMap"].is_object()) {
            let name = &volume["configMap"]["name"];
            let found = of_kind(&objects, "ConfigMap").any(|map| map["metadata"]["name"] == *name);
            assert!(found, "no ConfigMap {name}");
        }
        let secrets = volumes.iter().filter(|volume| volume["secret"].is_object());
        assert!(secrets.clone().count() > 0, "the password is in a Secret");
        assert!(secrets.clone().all(|volume| volume["secret"]["secretName"] == "bmc"));
    }
    assert_eq!(of_kind(&objects, "Secret").count(), 0, "no password is in the project");
}

/// A value of the first `[[bmc]]`.
fn bmc(map: &Value, key: &str) -> Option<u16> {
    let lines = text(&map["data"]["fleet.toml"]).lines();
    let value = lines.filter_map(|line| line.split_once(" = ")).find(|(found, _)| *found == key)?.1;
    Some(value.parse().expect("a number"))
}

#[test]
fn probes_and_policy_have_the_ports_of_the_bmcs() {
    let Some(objects) = objects() else { return };
    for (pod, map, container) in [("StatefulSet", "fleet", "bmcs"), ("Pod", "guest1", "bmc")] {
        let map = of_kind(&objects, "ConfigMap").find(|found| found["metadata"]["name"] == map);
        let map = map.expect("the ConfigMap");
        let first = bmc(map, "port").expect("a port");
        let last = first + bmc(map, "count").unwrap_or(1) - 1;
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let object = of_kind(&objects, pod).next().expect("the pod");
        let spec = if pod == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        let found = list(&spec["containers"]).iter().find(|found| found["name"] == container);
        let probe = &found.expect("the container")["readinessProbe"]["exec"]["command"];
        let expected = ["causewayctl", "ping", "--quiet", &format!("127.0.0.1:{ports}")];
        assert_eq!(*probe, serde_json::json!(expected));
        if pod == "StatefulSet" {
            let policy = of_kind(&objects, "NetworkPolicy").next().expect("a policy");
            let allowed = &policy["spec"]["ingress"][0]["ports"][0];
            let expected = serde_json::json!({"protocol": "UDP", "port": first, "endPort": last});
            assert_eq!(*allowed, expected);
        }
    }
}

#[test]
fn schemas_of_kubernetes_accept_every_object() {
    let modules = "kubernetes_validate, yaml";
    let environments = env!("CARGO_TARGET_TMPDIR");
    let Some(python) = python::environment(environments, "kubernetes-validate", VALIDATOR, modules)
    else {
        return;
    };
    let validator = python.with_file_name("kubernetes-validate");
    for name in files().iter().filter(|name| *name != "kustomization.yaml") {
        for version in VERSIONS {
            let mut command = Command::new(&validator);
            command.args(["--strict", "--kubernetes-version", version]).arg(folder().join(name));
            let output = client::run(&mut command);
            assert!(output.code == Some(0) && !output.stdout.contains("FAIL"), "{output}");
        }
    }
}

#[test]
fn machine_of_the_pod_is_switched_by_the_bmc_beside_it() {
    let Some(documents) = documents("guest.yaml") else { return };
    let Some(vm) = Vm::new() else { return };
    let dir = vm.dir().display().to_string();
    // The firmware's text would stand in the middle of the boot sector's.
    let here = |text: &str| {
        text.replace("/run/guest", &dir).replace("/disks", &dir).replace(",graphics=off", "")
    };
    // A virtio disk of one sector is none to the firmware.
    let disk = fs::File::options().write(true).open(vm.dir().join("disk")).expect("a disk");
    disk.set_len(1 << 20).expect("a longer disk");
    let pod = documents.iter().find(|object| object["kind"] == "Pod").expect("the pod");
    let qemu = &pod["spec"]["containers"][0];
    let mut words: Vec<String> = list(&qemu["command"])
        .iter()
        .chain(list(&qemu["args"]))
        .map(|word| here(text(word)))
        .collect();
    // A test that is killed leaves no machine behind for long.
    let program = words.iter().position(|word| word == "qemu-system-x86_64").expect("QEMU");
    let bounded = ["timeout", "--foreground", "--signal=KILL", "300"].map(str::to_owned);
    drop(words.splice(program..program, bounded));
    words.extend(["-pidfile".to_owned(), format!("{dir}/pid")]);
    // What it prints goes to a file, beside the pod's console.
    let console =
        words.iter_mut().find(|word| word.starts_with("socket,id=console")).expect("a console");
    *console += &format!(",logfile={dir}/serial,logappend=on");
    let shell = words.remove(0);
    let mut machine = Process::start("qemu", vm.dir(), Path::new(&shell), &words, &[]);
    let map = documents.iter().find(|object| object["kind"] == "ConfigMap").expect("the files");
    let file = |name: &str| here(text(&map["data"][name]));
    let suite = Suite::configured(&file("causeway.toml"), &file("platform.toml"));
    let kcs = format!("unix:{dir}/kcs");
    let _bridge = suite.bridge("kcsbridged", "kcs0", ["--qemu", &kcs]);
    let login = suite.administrator();
    let until_power = |state: &str| {
        wait::until_true(&format!("the power is {state}"), || {
            login.ipmitool("chassis power status").ok().contains(&format!("is {state}"))
        });
    };
    wait::until_true("QEMU runs, and waits", || vm.process().is_some());
    until_power("off");
    assert_eq!(vm.printed(), "");
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    vm.until_printed(DISK_BOOTS, 1);
    let first = vm.process();
    login.ipmitool("chassis power off").ok();
    until_power("off");
    wait::until_true("the next QEMU waits", || {
        vm.process().is_some_and(|next| Some(next) != first)
    });
    login.ipmitool("chassis power on").ok();
    vm.until_printed(DISK_BOOTS, 2);
    login.ipmitool("chassis power cycle").ok();
    vm.until_printed(DISK_BOOTS, 3);
    machine.terminate();
    vm.until_ended();
}
