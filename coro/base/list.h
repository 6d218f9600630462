/*
 * A doubly linked list whose links live in its elements.
 *
 * A `struct list` is both a list's head and an element's link. A head that
 * points at itself is empty; a link that points at itself is in no list, so
 * list_remove() may be called twice. Nothing is allocated or freed here, and
 * nothing is locked: one thread at a time.
 *
 *     struct item { int n; struct list link; };
 *     struct list items;
 *     list_init(&items);
 *     list_append(&items, &item->link);
 *     list_foreach(link, &items)
 *         use(list_entry(link, struct item, link));
 */
#ifndef CORO_BASE_LIST_H
#define CORO_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define list_entry(pointer, type, member) \
    ((type *)(void *)((char *)(pointer) + 0 - offsetof(type, member)))

#define list_foreach(item, head) \
    for (struct list *item = (head)->next; item != (head); item = item->next)

/* The body may remove or free `item`, but no other element. */
#define list_foreach_safe(item, head)                                 \
    for (struct list *item = (head)->next, *item##_next = item->next; \
         item != (head); item = item##_next, item##_next = item->next)

/** Makes @list an empty head, or a link that is in no list. */
static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

/** True when the head @list has no element, or the link is in no list. */
static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/** Puts @item, which is in no list, before @position. */
static inline void list_insert_before(struct list *position, struct list *item)
{
    item->next = position;
    item->prev = position->prev;
    position->prev->next = item;
    position->prev = item;
}

/** Puts @item, which is in no list, at the end of @head. */
static inline void list_append(struct list *head, struct list *item)
{
    list_insert_before(head, item);
}

/** Puts @item, which is in no list, at the front of @head. */
static inline void list_prepend(struct list *head, struct list *item)
{
    list_insert_before(head->next, item);
}

/** Takes @item out of its list; nothing happens when it is in none. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/** Removes and returns the first link of @head, or NULL when it is empty. */
static inline struct list *list_take_first(struct list *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list *item = head->next;
    list_remove(item);
    return item;
}

/** Moves all elements of @from to the end of @to; @from is then empty. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

#endif
