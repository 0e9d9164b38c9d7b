#!/bin/sh
# A client of `imclass serve` with curl.
#
#     imclass serve run1/model.tar.gz &
#     sh examples/serving_client.sh http://127.0.0.1:8080 cat.jpg
set -eu
url=$1
image=$2

# Wait until the model is loaded and warm, a minute at most.
curl --silent --fail --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused --retry-max-time 60 "$url/ping"

ask() {
    curl --silent --show-error --fail-with-body --max-time 70 "$@"
    echo
}

# The list of probabilities, as an endpoint of SageMaker answers. The bytes of the image say whether it is JPEG or PNG.
ask -H 'Content-Type: application/x-image' --data-binary "@$image" "$url/invocations"

# The same with the names of the classes.
ask -H 'Content-Type: application/x-image' -H 'Accept: application/json;verbose' --data-binary "@$image" "$url/invocations"

# Several images in one request: a list with an answer for each.
ask --form "file=@$image" --form "file=@$image" "$url/invocations"

# The same image as text in JSON.
printf '{"image": "%s"}' "$(base64 <"$image" | tr -d '\n')" |
    ask -H 'Content-Type: application/json' --data-binary @- "$url/invocations"

# Where in the image is the likeliest class?
ask -H 'Content-Type: application/x-image' --data-binary "@$image" "$url/explain?top=2"
