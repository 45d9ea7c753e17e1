"""Sends files over one SMTP connection with smtplib.

Arguments: host port starttls|implicit|plain cafile user password reverse-path recipient [mechanism].
User `-` means without AUTH. Paths come on standard input, one to a line; each is sent as it is, BODY=8BITMIME.
For each a JSON line: {"path", "code", "reply"}; the connection is made anew when the server closes it.
"""

import json
import smtplib
import ssl
import sys

host, port, security, cafile, user, password, reverse_path, recipient = sys.argv[1:9]
mechanism = sys.argv[9] if len(sys.argv) > 9 else None


def connect():
    if security == "implicit":
        context = ssl.create_default_context(cafile=cafile)
        smtp = smtplib.SMTP_SSL(host, int(port), context=context, timeout=60)
    else:
        smtp = smtplib.SMTP(host, int(port), timeout=60)
        if security == "starttls":
            smtp.starttls(context=ssl.create_default_context(cafile=cafile))
    smtp.ehlo_or_helo_if_needed()
    if mechanism is not None:
        smtp.user, smtp.password = user, password
        smtp.auth(mechanism, getattr(smtp, "auth_" + mechanism.lower().replace("-", "_")))
    elif user != "-":
        smtp.login(user, password)
    return smtp


def send(smtp, data):
    options = ["BODY=8BITMIME"]
    if smtp.has_extn("size"):
        options.append("size=%d" % len(data))
    for step in (
        lambda: smtp.mail(reverse_path, options),
        lambda: smtp.rcpt(recipient),
        lambda: smtp.data(data),
    ):
        try:
            code, reply = step()
        except smtplib.SMTPDataError as error:  # What answers DATA itself, not the message.
            code, reply = error.smtp_code, error.smtp_error
        if code not in (250, 251):
            if code != 421:
                smtp.rset()
            return code, reply
    return code, reply


smtp = connect()
for line in sys.stdin:
    path = line.rstrip("\n")
    with open(path, "rb") as file:
        data = file.read()
    try:
        code, reply = send(smtp, data)
    except smtplib.SMTPServerDisconnected:
        code, reply = 421, b"closed"
    if code == 421:
        smtp.close()
        smtp = connect()
    print(json.dumps({"path": path, "code": code, "reply": reply.decode("latin-1")}), flush=True)
smtp.quit()
