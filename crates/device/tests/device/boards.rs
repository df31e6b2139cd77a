//! Compact models on emulated boards: the same bits as on the host, hostile models refused.

use crate::network::{Random, input, network, on_device, on_host, start};
use device::{Device, Error, Images};
use evaluate::{Host, Predict};
use runtime::Reason;
use runtime::host::Runner;
use wire::Refusal;

/// The network's output: three float scores at each of 48 places.
const OUTPUT_BYTES: usize = 8 * 6 * 3 * 4;

fn gives_the_hosts_bits(spec: &str) {
    let model = network();
    let Some(mut client) = start(spec, &model) else {
        return;
    };
    let loaded = client.use_stored(model.len()).unwrap();
    assert_eq!((loaded.inputs, loaded.outputs), (1, 1));
    let (mut runner, mut random) = (Runner::new(&model).unwrap(), Random(7));
    let mut distinct = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let input = input(&mut random);
        let expected = on_host(&mut runner, &input);
        assert_eq!(on_device(&mut client, &input, OUTPUT_BYTES), expected);
        distinct.insert(expected);
    }
    assert!(
        distinct.len() > 10,
        "the outputs do not depend on the inputs"
    );
}

#[test]
fn a_cortex_m0_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:microbit");
}

#[test]
fn a_cortex_m3_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:mps2-an385");
}

#[test]
fn a_cortex_m4_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:mps2-an386");
}

#[test]
fn a_cortex_m7_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:mps2-an500");
}

#[test]
fn a_cortex_m33_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:mps2-an505");
}

#[test]
fn a_cortex_m55_gives_the_hosts_bits() {
    gives_the_hosts_bits("qemu:mps3-an547");
}

fn refuses(result: Result<wire::Loaded, Error>, reason: Reason) {
    match result {
        Err(Error::Refused {
            reason: refusal, ..
        }) => {
            let error = refusal.model_error().unwrap_or_else(|| panic!("{refusal}"));
            assert_eq!(error.reason, reason, "{error}");
        }
        other => panic!("{other:?}"),
    }
}

fn refuses_hostile_models(spec: &str) {
    let model = network();
    let Some(mut client) = start(spec, &model) else {
        return;
    };
    refuses(client.use_stored(0), Reason::NotAModel);
    refuses(client.use_stored(model.len() - 16), Reason::Truncated);
    refuses(client.load(&model[..63]), Reason::Truncated);
    refuses(
        client.load(b"not a model, but as long as a header, which has sixty-four bytes"),
        Reason::NotAModel,
    );
    let mut flipped = model.clone();
    *flipped.last_mut().unwrap() ^= 1;
    refuses(client.load(&flipped), Reason::Checksum);
    let refused = client.use_stored(usize::MAX);
    assert!(matches!(
        refused,
        Err(Error::Refused {
            reason: Refusal::TooLarge { .. },
            ..
        })
    ));
    let no_model = client.run();
    assert!(matches!(
        no_model,
        Err(Error::Refused {
            reason: Refusal::NoModel,
            ..
        })
    ));
    // Nothing of this harms the next model.
    client.load(&model).unwrap();
    assert_eq!(
        on_device(&mut client, &input(&mut Random(3)), OUTPUT_BYTES).len(),
        OUTPUT_BYTES
    );
}

#[test]
fn a_cortex_m4_refuses_hostile_models() {
    refuses_hostile_models("qemu:mps2-an386");
}

#[test]
fn a_cortex_m55_refuses_hostile_models() {
    refuses_hostile_models("qemu:mps3-an547");
}

/// Damaged models with right checksums: the device accepts and refuses exactly what the host
/// does, for the same reason, and what both accept runs to its end.
#[test]
fn a_cortex_m4_judges_damaged_models_as_the_host_does() {
    let model = network();
    let Some(mut client) = start("qemu:mps2-an386", &[]) else {
        return;
    };
    let mut random = Random(11);
    let mut accepted = 0;
    for _ in 0..200 {
        let mut damaged = model.clone();
        let place = 16 + random.below(damaged.len() - 16);
        damaged[place] ^= 1 << random.below(8);
        let checksum = wire::crc32(&damaged[16..]);
        damaged[12..16].copy_from_slice(&checksum.to_le_bytes());
        let host = runtime::Model::new(&damaged).map(|_| ());
        // The host also wants its names; a device never reads them.
        let host = host.and_then(|()| match Runner::new(&damaged) {
            Err(error) if error.reason != Reason::Meta => Err(error),
            _ => Ok(()),
        });
        match (client.load(&damaged), host) {
            (Ok(_), Ok(())) => {
                client.run().unwrap();
                accepted += 1;
            }
            (Err(Error::Refused { reason, .. }), Err(error)) => {
                assert_eq!(reason.model_error(), Some(error), "byte {place}");
            }
            (device, host) => panic!("byte {place}: {device:?} but {host:?}"),
        }
    }
    assert!((20..180).contains(&accepted), "{accepted} of 200 accepted");
}

fn profile_sums_to_the_run(spec: &str) {
    let model = network();
    let Some(mut client) = start(spec, &model) else {
        return;
    };
    let loaded = client.use_stored(model.len()).unwrap();
    client.set_input(0, &input(&mut Random(5))).unwrap();
    let run = client.run().unwrap() as f64;
    let profile = client.profile(loaded.nodes).unwrap();
    assert_eq!(profile.len(), usize::from(loaded.nodes));
    let sum: f64 = profile.iter().map(|&ticks| f64::from(ticks)).sum();
    assert!((sum / run - 1.0).abs() < 0.03, "{sum} of {run} ticks");
}

#[test]
fn a_cortex_m4_profile_sums_to_the_run() {
    profile_sums_to_the_run("qemu:mps2-an386");
}

#[test]
fn a_cortex_m55_profile_sums_to_the_run() {
    profile_sums_to_the_run("qemu:mps3-an547");
}

#[test]
fn memory_is_told_as_the_host_counts_it() {
    let model = network();
    let Some(mut client) = start("qemu:mps2-an386", &model) else {
        return;
    };
    client.use_stored(model.len()).unwrap();
    client.run().unwrap();
    let stats = client.stats().unwrap();
    let arena_bytes = runtime::Model::new(runtime::host::AlignedBytes::copy_of(&model).bytes())
        .unwrap()
        .arena_bytes();
    assert_eq!(stats.arena_bytes as usize, arena_bytes);
    assert!(stats.memory_bytes >= stats.arena_bytes);
    assert!((64..stats.stack_bytes).contains(&stats.stack_used_bytes));
}

/// Runs of one model take the same number of instructions, whatever the input and the session.
#[test]
fn instructions_are_counted_exactly() {
    let model = network();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Some(mut client) = start("qemu:mps2-an386", &model) else {
            return;
        };
        client.use_stored(model.len()).unwrap();
        client.set_input(0, &input(&mut Random(5))).unwrap();
        seen.push(client.run().unwrap());
    }
    // The counter's tick is 40 instructions, and a run may start within one.
    assert!(seen[0].abs_diff(seen[1]) <= 1, "{seen:?}");
}

#[test]
fn what_is_no_image_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("mps2-an386");
    std::fs::write(&image, "no image").unwrap();
    let board = device::find("qemu:mps2-an386").unwrap();
    match device::Qemu::start(&board, &image, &[]) {
        Err(Error::NoEmulator { .. }) => println!("skipped: qemu-system-arm is not installed"),
        Err(Error::Stopped { .. }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
}

/// The evaluator's view: caller's layout, counted instructions, facts that can be gated.
#[test]
fn the_evaluator_sees_the_same_on_a_board_as_on_the_host() {
    let model = network();
    for spec in ["qemu:mps2-an386", "qemu:mps3-an547"] {
        let mut device = match Device::open(spec, &model, &Images::locate()) {
            Ok(device) => device,
            Err(missing @ (Error::NoImage { .. } | Error::NoEmulator { .. })) => {
                println!("skipped: {missing}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let mut host = Host::new(&model).unwrap();
        assert_eq!(device.inputs(), host.inputs());
        assert_eq!(device.outputs(), host.outputs());
        let mut random = Random(9);
        for _ in 0..5 {
            let values: Vec<f32> = (0..8 * 6 * 2).map(|_| random.real()).collect();
            let there = device.predict(&[&values]).unwrap();
            let here = host.predict(&[&values]).unwrap();
            assert_eq!((&there.outputs, &there.raw), (&here.outputs, &here.raw));
            assert!(there.instructions.unwrap() > 1000);
        }
        let facts = device.facts();
        let fact = |name| facts.iter().find(|(of, _)| *of == name).unwrap().1;
        assert_eq!(fact("bytes"), model.len() as f64);
        assert!(fact("code_bytes") > 10_000.0 && fact("stack_bytes") > 64.0);
        assert!(fact("ram_bytes") > 0.0 && fact("macs") > 0.0);
        assert!(device.profile().unwrap().len() as f64 == fact("nodes"));
        let error = device.predict(&[&[0.0; 3]]).unwrap_err().to_string();
        assert!(error.contains("takes 96 values, not 3"), "{error}");
        assert!(device.predict(&[]).is_err());
    }
}

#[test]
fn a_model_too_large_for_the_board_is_refused_before_it_starts() {
    let board = device::find("qemu:microbit").unwrap();
    let model = vec![0; board.model_bytes + 1];
    let started = device::Qemu::start(&board, std::path::Path::new("microbit"), &model);
    let error = started.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("microbit has room for 163840"), "{error}");
}
