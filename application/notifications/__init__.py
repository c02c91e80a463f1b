"""Notifications: the application service and what it answers."""

from application.notifications.service import NotificationFilter, Notifications, NotificationView, Preferences, Unread

__all__ = ["NotificationFilter", "NotificationView", "Notifications", "Preferences", "Unread"]
