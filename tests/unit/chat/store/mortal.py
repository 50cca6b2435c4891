"""A process that keeps conversations until it is killed, and says on stdout what it believes to be safe.

python mortal.py talk FILE          streams answers for ever
python mortal.py migrate FILE       opens the file with one version more than there is
"""

import json
import sys
from itertools import count

from gadfly.chat.store import Provenance, Store
from gadfly.chat.store.schema import MIGRATIONS
from gadfly.conversation import Message

NEXT_VERSION = """
ALTER TABLE message ADD COLUMN length INTEGER;
UPDATE message SET length = length(content);
CREATE INDEX message_length ON message (length);
CREATE TABLE copy AS SELECT * FROM message;
DROP TABLE copy;
"""
"""A step as one of these days there will be: it touches every row."""


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def talk(store: Store) -> None:
    for number in count():
        chat = store.create("", str(number))
        say(chat=chat.id)
        parent = None
        for question in range(5):
            asked = store.say("", chat.id, parent, Message("user", f"{number} {question}?"))
            say(chat=chat.id, node=asked.id, text=asked.message.content)
            writing = store.begin("", chat.id, asked.id, Provenance(model="mortal", seed=number))
            say(chat=chat.id, node=writing.node.id, text="")
            for word in range(12):
                writing.write(f"word{word} ")
                writing.flush()
                say(chat=chat.id, node=writing.node.id, text=writing.text)
            answer = writing.finish(Message("assistant", writing.text + "done"), trace={"tokens": [1, 2]})
            say(chat=chat.id, node=answer.id, text=answer.message.content, whole=True)
            parent = answer.id


if __name__ == "__main__":
    if sys.argv[1] == "talk":
        opened = Store(sys.argv[2])
        say(ready=True)
        talk(opened)
    else:
        say(ready=True)
        Store(sys.argv[2], migrations=[*MIGRATIONS, NEXT_VERSION]).close()
        say(done=True)
