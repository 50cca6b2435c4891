"""Teaching models while they are served: files to learn from, and runs of `gadfly train` that wait in a queue.

    uploads    files that clients have sent
    job        one run: what is to be learnt, and how far it is;  jobs  their folders
    material   what a run learns from: files in the words of others, and opinions from chats
    command    `gadfly` in a process of its own
    journal    what a run has said so far
    workshop   who may begin what, and the one run that is under way

Both OpenAI's routes and the app's ask `Workshop`. Nothing here computes: torch lives in the processes that are started.
"""
