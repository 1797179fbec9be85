#!/bin/sh
# Only every other release has this program.
printf 'Content-Type: text/plain\r\n\r\n'
echo "sometimes [release __RELEASE__]"
