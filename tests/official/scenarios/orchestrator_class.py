"""The published client's own orchestrator of processes: agents that show the token they get, and such that do not."""

import json
import pathlib
import queue
import sys
import threading
import time

from scitrera_aether_client import AgentClient, OrchestratorClient
from scitrera_aether_client.orchestrator import MultiprocessOrchestrator

TARGET = sys.argv[1]
PATIENCE_S = 30
LAUNCHED = pathlib.Path(__file__).with_name("launched.py")


class Keeper(MultiprocessOrchestrator):
    printed = []

    def get_implementation(self):
        return "echo-orchestrator"

    def get_supported_profiles(self):
        return ["shows", "hides"]

    def handle_assignment(self, assignment):
        self.spawn_subprocess(
            assignment.task_id,
            LAUNCHED,
            workspace=assignment.workspace,
            implementation=assignment.target_implementation,
            specifier=assignment.specifier,
            auth_token=assignment.launch_params["auth_token"],
            env={"SHOWS_TOKEN": "1" if assignment.profile == "shows" else ""},
            output_callback=lambda specifier, line: self.printed.append([specifier, line]),
        )


def until(condition):
    for _ in range(20 * PATIENCE_S):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


def main():
    keeper = Keeper(TARGET, specifier="k")
    running = threading.Thread(target=keeper.run, daemon=True)
    running.start()
    try:
        play(keeper)
    finally:  # agents end with their orchestrator
        keeper.request_shutdown()
        running.join(PATIENCE_S)


def play(keeper):
    seen = {}
    operator = OrchestratorClient("ops", ["none"], specifier="o")
    operator.connect(TARGET)
    boss = AgentClient("w", "i", "boss")
    messages = queue.Queue()
    boss.on_message = messages.put
    boss.connect(TARGET)
    until(lambda: keeper.is_running)
    answers = []
    for profile in ("shows", "hides"):
        operator.register_agent(profile, profile)
        boss.send_message_to_agent("w", profile, "1", b"hello")
        answers.append(messages.get(timeout=PATIENCE_S).payload.decode())
        seen[profile] = [keeper.process_count, keeper.active_subprocess_count]
    boss.send_message_to_agent("w", "shows", "1", b"bye")
    answers.append(messages.get(timeout=PATIENCE_S).payload.decode())

    def starts():
        listed = boss.query_tasks(workspace="w", task_type="agent_startup").tasks
        return {task.target_topic: task.status for task in reversed(listed)}

    seen["answers"] = answers
    until(lambda: len(set(starts().values())) == 2)
    seen["starts"] = starts()
    boss.send_message_to_agent("w", "shows", "1", b"once more")  # it has left, so it is started again
    seen["again"] = messages.get(timeout=PATIENCE_S).payload.decode()
    seen["printed"] = sorted({line for _, line in keeper.printed})
    print(json.dumps(seen), flush=True)
    for client in (boss, operator):
        client.close()


main()
