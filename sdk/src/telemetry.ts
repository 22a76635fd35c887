/** Logs and metrics for applications on Manta; apart from the main door, because their libraries take time to load. */
export { createLogger, type Logger } from '@manta/runtime/telemetry/logger';
export { createMetrics, type Metrics } from '@manta/runtime/telemetry/metrics';
