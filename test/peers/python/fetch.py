"""Fetches a whole maildrop with poplib and deletes it there.

Arguments: host port starttls|implicit|plain cafile user password folder [APOP|UTF8].
Each message goes into folder/NUMBER with CRLF line ends; its size must be the one that LIST told. Prints how many.
"""

import os
import poplib
import ssl
import sys

poplib._MAXLINE = 1 << 20  # poplib refuses lines over 2,048 octets; mail has them.
host, port, security, cafile, user, password, folder = sys.argv[1:8]
context = ssl.create_default_context(cafile=cafile) if security != "plain" else None
if security == "implicit":
    pop = poplib.POP3_SSL(host, int(port), context=context, timeout=60)
else:
    pop = poplib.POP3(host, int(port), timeout=60)
    if security == "starttls":
        pop.stls(context=context)
if sys.argv[8:] == ["UTF8"]:  # Else header fields beyond ASCII come as surrogates (RFC 6858).
    pop.utf8()
if sys.argv[8:] == ["APOP"]:
    pop.apop(user, password)
else:
    pop.user(user)
    pop.pass_(password)
sizes = {}
for row in pop.list()[1]:
    number, size = row.split()
    sizes[int(number)] = int(size)
count, total = pop.stat()
assert count == len(sizes) and total == sum(sizes.values()), "STAT and LIST differ"
for number, size in sizes.items():
    _, lines, _ = pop.retr(number)
    data = b"".join(line + b"\r\n" for line in lines)
    assert len(data) == size, "message %d: LIST says %d octets, RETR brought %d" % (number, size, len(data))
    with open(os.path.join(folder, str(number)), "wb") as file:
        file.write(data)
    pop.dele(number)
pop.quit()
print(count)
