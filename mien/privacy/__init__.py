"""Policy, consent, erasure, audit log and group statistics: what may be read, stored and released."""
