//! An engine that speaks OTLP, such as the OpenTelemetry Collector, is told the same as Pyroscope.

use std::hint::black_box;
use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesPartialSuccess, ExportProfilesServiceRequest, ExportProfilesServiceResponse,
};
use opentelemetry_proto::tonic::profiles::v1development::ProfilesDictionary;
use prost::Message;

use super::engine::{read_request, wait_until};
use super::{ALLOCATED, KEPT, push_to, worker};

worker!(work_for_a_collector);

/// Adds up the values of one type of what has that function on its stack.
fn sum_of(request: &ExportProfilesServiceRequest, sample_type: &str, function: &str) -> i64 {
    let tables = request.dictionary.as_ref().unwrap();
    let ProfilesDictionary { string_table, function_table, location_table, stack_table, .. } = tables;
    let has_function = |stack: i32| {
        stack_table[stack as usize].location_indices.iter().any(|&location| {
            let lines = &location_table[location as usize].lines;
            let names = lines.iter().map(|line| function_table[line.function_index as usize].name_strindex);
            names.into_iter().any(|name| string_table[name as usize] == function)
        })
    };
    let profiles = &request.resource_profiles[0].scope_profiles[0].profiles;
    let is_wanted = |index: i32| string_table[index as usize] == sample_type;
    let wanted = profiles.iter().filter(|profile| is_wanted(profile.sample_type.unwrap().type_strindex));
    let samples = wanted.flat_map(|profile| &profile.samples);
    samples.filter(|sample| has_function(sample.stack_index)).flat_map(|sample| &sample.values).sum()
}

#[test]
fn a_collector_is_told_everything_once() {
    const SCRIPT: [&str; 4] = ["503 Service Unavailable", "200 OK", "429 Too Many Requests", "200 OK"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken: Arc<Mutex<Vec<(String, ExportProfilesServiceRequest)>>> = Arc::default();
    let of_engine = taken.clone();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let Ok((head, body)) = read_request(&mut reader) else { continue };
            let status = SCRIPT.get(number).unwrap_or(&"200 OK");
            let mut answer = ExportProfilesServiceResponse::default();
            if *status == "200 OK" {
                let request = ExportProfilesServiceRequest::decode(&body[..]).unwrap();
                of_engine.lock().unwrap().push((head, request));
                // This one has taken the others, and rejects one.
                let error_message = "one is too old".to_owned();
                let part = ExportProfilesPartialSuccess { rejected_profiles: 1, error_message };
                answer.partial_success = (number == 1).then_some(part);
            }
            let answer = answer.encode_to_vec();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", answer.len());
            let _ = reader.into_inner().write_all(&[head.into_bytes(), answer].concat());
        }
    });
    let builder = push_to(&url).otlp().label("zone", "a");
    let mut kept = Vec::with_capacity(100);
    work_for_a_collector(&mut kept);
    let push = builder.start().unwrap();
    wait_until("two answers", || push.counts().unknown + push.counts().accepted >= 2);
    work_for_a_collector(&mut kept);
    let counts = push.counts();
    drop(push);
    assert_eq!((counts.refused, counts.unknown, counts.unsent), (2, 1, 0), "{counts:?}");
    let taken = taken.lock().unwrap();
    let function = "push::otlp::work_for_a_collector";
    let allocated: i64 = taken.iter().map(|(_, request)| sum_of(request, "alloc_space", function)).sum();
    assert_eq!(allocated, 2 * ALLOCATED);
    let (head, last) = taken.last().unwrap();
    assert_eq!(sum_of(last, "inuse_space", function), 2 * KEPT);
    assert!(head.starts_with("POST /v1development/profiles HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    let attributes = &last.resource_profiles[0].resource.as_ref().unwrap().attributes;
    assert_eq!(attributes.iter().map(|one| &*one.key).collect::<Vec<_>>(), ["service.name", "zone"]);
}
