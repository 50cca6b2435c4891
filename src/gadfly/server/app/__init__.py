"""The chat app, seen from the server: a page, chats that are kept, and answers that go on when nobody looks.

    chat_app     what it has: store, jobs, feeds, personas, pulls
    page         the built page and the headers that keep it to itself;  sessions  cookies in place of keys
    jobs         answers as work of the server;  feeds  what open pages hear of them
    terms        what an answer is asked with;  measure  how much room a conversation takes;  asides  titles, questions
    trace        what is kept of how an answer came about;  shapes  chats and messages as JSON
    fits, pulls, persona_files, settings_file, pdf_text     models, personas, settings and files, for their pages
    routes/      a file for each of the things that the page asks about

Nothing here knows how a page looks, and nothing beside it knows that there is one.
"""
