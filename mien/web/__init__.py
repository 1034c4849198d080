"""The live dashboard in the browser: pages that read faces on the learner's own device, and the server that delivers them."""
