#!/bin/sh
# The probe application by CGI (RFC 3875): the script, a file beside it, and one found from the document root after a sleep.
printf 'Content-Type: text/plain\r\n\r\n'
echo "cgi [release __RELEASE__]"
cat ../parts/data.txt
sleep __SLEEP_S__
cat "$DOCUMENT_ROOT/parts/data.txt"
echo "path ${PATH_INFO:-none}"
