"""A release: the chart with its images by digest, and a bill of materials of each image."""
