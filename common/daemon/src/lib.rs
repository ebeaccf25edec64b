//! What every daemon shares: arguments, configuration, logging, signals, readiness.
