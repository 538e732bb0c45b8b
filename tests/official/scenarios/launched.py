"""An agent that an orchestrator of the published client starts: says thanks, until it hears "bye"."""

import os
import queue

from scitrera_aether_client import AgentClient, Credentials

token = os.environ["AETHER_AUTH_TOKEN"] if os.environ["SHOWS_TOKEN"] else ""
agent = AgentClient(
    os.environ["AETHER_WORKSPACE"],
    os.environ["AETHER_IMPLEMENTATION"],
    os.environ["AETHER_SPECIFIER"],
    **({"credentials": Credentials.task_token(token)} if token else {}),
)
messages = queue.Queue()
agent.on_message = messages.put
agent.connect(os.environ["AETHER_GATEWAY"])
print("connected", flush=True)
payload = b""
while payload != b"bye":
    payload = messages.get().payload
    agent.send_message_to_agent("w", "i", "boss", b"thanks for " + payload)
agent.close()
