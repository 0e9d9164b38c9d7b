"""Charts: described once (`charts`), drawn as SVG for the page (`svg`) and as PNG files (`png`)."""
