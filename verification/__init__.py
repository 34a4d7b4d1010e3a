"""The verifier: subjects, cases, checks, certificates, diagnosis, report."""
