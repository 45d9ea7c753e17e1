"""Writes what Python's email package finds in each message of a folder: a line of JSON, name and digests of its decoded parts."""
import email
import hashlib
import json
import os
import sys

folder, into = sys.argv[1:]
lines = []
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), 'rb') as file:
        # Of bytes: a file would be read with other line ends.
        message = email.message_from_bytes(file.read())
    parts = []
    for part in message.walk():
        content = b'' if part.is_multipart() else part.get_payload(decode=True)
        parts.append(f'{part.get_content_type()} {hashlib.sha256(content).hexdigest()}')
    lines.append(json.dumps([name, parts]))
with open(into, 'w') as file:
    file.write('\n'.join(lines))
