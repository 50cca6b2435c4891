"""The model behind the APIs that programs already speak, over HTTP: `gadfly serve`.

    run          options to a listening server, and its end
    application  joins everything below into one ASGI application
    app/         the chat app: its page, its chats, and answers that go on when the page is closed
    workshop/    models that are taught: files to learn from, and runs that wait in a queue
    connection   one HTTP connection: how much it may send, and how slowly
    record       one request: its id, its line in the log, its counts
    gate         who may come in: Host, Origin, key;  keys and rates are what it asks
    body         the JSON of a request, within limits
    refusals     errors, in the shape of the dialect they are told in
    routes/      a file per dialect: parse, ask the model, encode
    answers      from the thread that steps a model to the event loop, and back when a client leaves
    stream       bytes to a client while they arise
    models       which models are loaded, and for how long
    continuations, fingerprint, metrics     what `previous_response_id` names; what an answer depended on; counts

What requests and answers mean is the business of `gadfly.api`; nothing here knows tokens or templates. No path that a
request names reaches the file system: models are called by their names.
"""
