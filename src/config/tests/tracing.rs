//! OpenTelemetry's variables.

use super::*;

fn read(env: &[(&'static str, &'static str)]) -> Result<Option<Tracing>, String> {
    let env: Vec<_> = MINIMAL.iter().chain(env).copied().collect();
    let read = super::read(&[], &env);
    read.map(|config| config.tracing)
        .map_err(|rejected| rejected.to_string())
}

const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

#[test]
fn an_endpoint_enables_traces_and_the_full_url_is_used_unchanged() {
    assert_eq!(read(&[]), Ok(None));
    for (variable, value, url) in [
        (
            ON.0,
            "http://collector:4318",
            "http://collector:4318/v1/traces",
        ),
        (
            ON.0,
            "https://c.example/otlp/",
            "https://c.example/otlp/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c:1/spans",
            "http://c:1/spans",
        ),
    ] {
        let tracing = read(&[(variable, value)]).unwrap().unwrap();
        assert_eq!(tracing.endpoint.to_string(), url);
    }
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        assert_eq!(read(&[ON, off]), Ok(None), "{off:?}");
    }
}

#[test]
fn variables_of_other_programs_are_no_error_where_traces_are_off() {
    let env = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ];
    assert_eq!(read(&env), Ok(None));
}

#[test]
fn what_is_not_supported_is_an_error_with_its_remedy_and_without_secrets() {
    for (variable, value, word) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "http/protobuf",
        ),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "parentbased_"),
        ("OTEL_TRACES_SAMPLER_ARG", "10", "0 to 1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "key=value"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "api key=hunter2",
            "HTTP headers",
        ),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "PEM"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1"),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "4096",
            "--bsp-max-queue-size",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "collector:4317",
            "http://",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://me:hunter2@c:4318",
            "credentials",
        ),
    ] {
        let error = read(&[ON, (variable, value)]).unwrap_err();
        assert!(error.contains(variable) && error.contains(word), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn values_are_read_as_the_specification_writes_them() {
    let tracing = read(&[
        ON,
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-scope=t"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,k8s.pod.name=p-0",
        ),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
    ]);
    let tracing = tracing.unwrap().unwrap();
    assert_eq!(tracing.headers.get("api-key").unwrap(), "a b");
    assert!(!format!("{tracing:?}").contains("a b"));
    assert_eq!(tracing.service_name, "other");
    assert_eq!(
        tracing.sampling,
        Sampling {
            by_parent: false,
            share: 0.25
        }
    );
    assert_eq!(tracing.timeout, Duration::from_millis(1500));
}
