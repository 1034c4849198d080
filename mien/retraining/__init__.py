"""From drift to a candidate: new data judged, a bundle fine-tuned, gates, and the bundle in use changed on request."""
